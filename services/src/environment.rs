//! The environment of a process, read once and checked on the way out: a value that cannot be right is refused by name.

use std::collections::BTreeMap;
use std::time::Duration;

use http::Uri;

/// What the environment or the command line got wrong.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{variable} is `{found}`; allowed is {allowed}")]
    Value { variable: String, found: String, allowed: String },
    #[error("{variable} is not set; allowed is {allowed}")]
    Missing { variable: String, allowed: String },
}

/// Variables by name; an empty one counts as unset.
#[derive(Clone, Debug, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    pub fn of_process() -> Self {
        std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .collect()
    }

    pub fn text(&self, variable: &str) -> Option<&str> {
        self.0.get(variable).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The variable's value by `parse`, nothing when it is unset.
    pub fn optional<T>(
        &self,
        variable: &str,
        allowed: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let Some(found) = self.text(variable) else { return Ok(None) };
        parse(found).map(Some).ok_or_else(|| Error::Value {
            variable: variable.to_owned(),
            found: found.to_owned(),
            allowed: allowed.to_owned(),
        })
    }

    /// The variable's value by `parse`; it has to be set.
    pub fn required<T>(
        &self,
        variable: &str,
        allowed: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<T, Error> {
        self.optional(variable, allowed, parse)?
            .ok_or_else(|| Error::Missing { variable: variable.to_owned(), allowed: allowed.to_owned() })
    }

    pub fn millis(&self, variable: &str, default: Duration) -> Result<Duration, Error> {
        let parse = |text: &str| text.parse().ok().filter(|ms| *ms <= 3_600_000).map(Duration::from_millis);
        Ok(self.optional(variable, "a number of milliseconds from 0 to 3600000", parse)?.unwrap_or(default))
    }

    /// The base of another service's URLs: scheme, host and port, no path.
    pub fn base_url(&self, variable: &str) -> Result<Uri, Error> {
        self.required(variable, "a URL such as `http://microservice-b:8080`, with no path", |text| {
            let url: Uri = text.parse().ok()?;
            let plain = url.scheme_str() == Some("http") && url.path() == "/" && url.query().is_none();
            (plain && url.authority().is_some_and(|authority| !authority.as_str().contains('@')))
                .then_some(url)
        })
    }
}

impl<N: Into<String>, V: Into<String>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_url_is_plain_http_without_a_path() {
        let read = |url: &str| Environment::from_iter([("NEXT_URL", url)]).base_url("NEXT_URL");
        assert_eq!(read("http://microservice-b:8080").expect("allowed").host(), Some("microservice-b"));
        for wrong in [
            "microservice-b:8080",
            "https://b",
            "http://b/path",
            "http://b?x=1",
            "http://me@b",
            "/",
            "http://",
        ] {
            let error = read(wrong).expect_err(wrong).to_string();
            assert!(error.starts_with(&format!("NEXT_URL is `{wrong}`; allowed is a URL")), "{error}");
        }
        assert!(matches!(read(""), Err(Error::Missing { .. })), "an empty variable is an unset one");
    }

    #[test]
    fn milliseconds_are_whole_and_bounded() {
        let read = |ms: &str| Environment::from_iter([("T", ms)]).millis("T", Duration::from_secs(2));
        assert_eq!(read("").expect("default"), Duration::from_secs(2));
        assert_eq!(read("15").expect("allowed"), Duration::from_millis(15));
        for wrong in ["-1", "1.5", "2s", "3600001"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
