//! The services that this binary holds: the worlds it was built for decide which.

use axum::Router;

use crate::Stack;
use crate::environment::{Environment, Error};
#[cfg(feature = "pinning")]
use crate::{microservice_a, microservice_b, microservice_c};

/// A service of the shop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Service {
    #[cfg(feature = "pinning")]
    MicroserviceA,
    #[cfg(feature = "pinning")]
    MicroserviceB,
    #[cfg(feature = "pinning")]
    MicroserviceC,
}

impl Service {
    pub const ALL: &[Self] = &[
        #[cfg(feature = "pinning")]
        Self::MicroserviceA,
        #[cfg(feature = "pinning")]
        Self::MicroserviceB,
        #[cfg(feature = "pinning")]
        Self::MicroserviceC,
    ];

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|service| service.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "pinning")]
            Self::MicroserviceA => "microservice-a",
            #[cfg(feature = "pinning")]
            Self::MicroserviceB => "microservice-b",
            #[cfg(feature = "pinning")]
            Self::MicroserviceC => "microservice-c",
        }
    }

    /// What the service answers, without what all services share.
    pub fn routes(self, stack: Stack, environment: &Environment) -> Result<Router, Error> {
        match self {
            #[cfg(feature = "pinning")]
            Self::MicroserviceA => microservice_a::routes(stack, environment),
            #[cfg(feature = "pinning")]
            Self::MicroserviceB => microservice_b::routes(stack, environment),
            #[cfg(feature = "pinning")]
            Self::MicroserviceC => Ok(microservice_c::routes(stack)),
        }
    }
}
