//! Errors of the store as the API tells them: a `Status` with code, reason and every cause.

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use meshquake_xds::source::{Place, Problem, Problems};
use serde_json::{Value, json};

use crate::backend::local::store::Error;

/// A failed request.
#[derive(Debug)]
pub struct Failure {
    code: StatusCode,
    reason: &'static str,
    message: String,
    causes: Vec<Value>,
}

impl Failure {
    pub fn new(code: StatusCode, reason: &'static str, message: impl Into<String>) -> Self {
        Self { code, reason, message: message.into(), causes: Vec::new() }
    }

    pub fn bad(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BadRequest", message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NotFound", message)
    }

    pub fn body(&self) -> Value {
        json!({
            "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
            "message": self.message, "reason": self.reason, "code": self.code.as_u16(),
            "details": {"causes": self.causes},
        })
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (code, reason) = match &error {
            Error::NotFound(_) => (StatusCode::NOT_FOUND, "NotFound"),
            Error::Exists(_) => (StatusCode::CONFLICT, "AlreadyExists"),
            Error::Stale { .. } | Error::Fields(_) => (StatusCode::CONFLICT, "Conflict"),
            Error::Invalid(_) => (StatusCode::UNPROCESSABLE_ENTITY, "Invalid"),
            Error::Expired { .. } => (StatusCode::GONE, "Expired"),
            Error::Bad(_) => (StatusCode::BAD_REQUEST, "BadRequest"),
        };
        let causes = match &error {
            Error::Fields(conflicts) => conflicts
                .iter()
                .map(|c| {
                    let message = format!("conflict with \"{}\"", c.manager);
                    json!({"reason": "FieldManagerConflict", "message": message, "field": c.field})
                })
                .collect(),
            Error::Invalid(problems) => problems.0.iter().map(cause).collect(),
            _ => Vec::new(),
        };
        Self { causes, ..Self::new(code, reason, error.to_string()) }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.code, Json(self.body())).into_response()
    }
}

/// A problem as a cause: its place as the field, its title, and what more is known on lines of their own.
fn cause(problem: &Problem) -> Value {
    let mut message = problem.title.clone();
    for (name, text) in [("found", &problem.found), ("allowed", &problem.allowed), ("help", &problem.help)] {
        if let Some(text) = text {
            message.push_str(&format!("\n{name}: {text}"));
        }
    }
    json!({"reason": "FieldValueInvalid", "message": message, "field": problem.place.to_string()})
}

/// The problems behind a refusal by the API; nothing if it failed for another reason.
pub fn problems(error: &kube::Error) -> Option<Problems> {
    let kube::Error::Api(status) = error else { return None };
    problems_in(status)
}

/// The problems that a `Status` tells of.
pub fn problems_in(status: &kube::core::Status) -> Option<Problems> {
    if status.code != StatusCode::UNPROCESSABLE_ENTITY.as_u16() {
        return None;
    }
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let read = |cause: &kube::core::response::StatusCause| {
        let mut lines = cause.message.lines();
        let place = Place::parse(&cause.field).unwrap_or_else(|| Place::new(cause.field.as_str(), 1));
        let mut problem = Problem::new(&place, lines.next().unwrap_or_default());
        for line in lines {
            let text = |prefix: &str| line.strip_prefix(prefix).map(Box::from);
            problem.found = text("found: ").or(problem.found);
            problem.allowed = text("allowed: ").or(problem.allowed);
            problem.help = text("help: ").or(problem.help);
        }
        problem
    };
    Some(Problems(causes.map(read).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_survive_the_way_over_the_api() {
        let place = Place::new("world/a.yaml", 7);
        let problem = Problem::new(&place, "unknown field `x`").allowed("y, z").help("did you mean `y`?");
        let sent = Failure::from(Error::Invalid(Problems(vec![problem.clone()]))).body();
        let status: kube::core::Status = serde_json::from_value(sent).unwrap();
        let read = problems(&kube::Error::Api(Box::new(status))).unwrap();
        assert_eq!(read, Problems(vec![problem]));
    }
}
