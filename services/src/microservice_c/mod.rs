//! microservice-c, the end of the chain: it answers with its own name and calls nobody.

use axum::Router;
use axum::routing::get;

use crate::Stack;

pub fn routes(stack: Stack) -> Router {
    let answer = async move || format!("Microservice C {stack}");
    stack.chain_paths().iter().fold(Router::new(), |router, path| router.route(path, get(answer)))
}
