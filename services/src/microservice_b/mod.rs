//! microservice-b, the middle of the chain: it calls microservice-c and puts its own name before what comes back.

use axum::routing::get;
use axum::{Extension, Router};

use crate::client::{Failure, Upstream};
use crate::environment::{Environment, Error};
use crate::trace::Trace;
use crate::{Service, Stack};

pub fn routes(stack: Stack, environment: &Environment) -> Result<Router, Error> {
    let next = Upstream::next(Service::MicroserviceB, stack, environment)?;
    let answer = async move |Extension(trace): Extension<Trace>| -> Result<String, Failure> {
        let rest = next.get(stack.chain_call(), &trace).await?;
        Ok(format!("Microservice B {stack} -> {rest}"))
    };
    Ok(stack.chain_paths().iter().fold(Router::new(), |router, path| router.route(path, get(answer.clone()))))
}
