//! The command line: which service to run, and what is wrong when it cannot be run, on one line of standard error.

use std::error::Error as StdError;
use std::ffi::OsString;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::ExitCode;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use crate::call::Caller;
use crate::log::Log;
use crate::metrics::Metrics;
use crate::server::Drain;
use crate::{App, Environment, Service, chaos, environment, server};

/// The command line or the environment asks for what cannot be.
const USAGE: u8 = 2;
/// It was asked rightly, but the machine did not let it.
const FAILED: u8 = 1;

#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("no service is named; usage: shop SERVICE, one of {}", services())]
    NoService,
    #[error("unknown service `{found}`; allowed are {}", services())]
    UnknownService { found: String },
    #[error("`{0}` is one argument too many; usage: shop SERVICE")]
    Extra(String),
    #[error(transparent)]
    Environment(#[from] environment::Error),
    #[error("cannot listen on {address}, from BIND_IP and PORT")]
    Listen { address: SocketAddr, source: io::Error },
    #[error("cannot open the chaos switch on {address}, from CHAOS_ADDR")]
    Chaos { address: String, source: io::Error },
    #[error("cannot start")]
    Start(#[from] io::Error),
    #[error("cannot count")]
    Metrics(#[from] prometheus::Error),
    #[error(transparent)]
    Serve(#[from] server::Error),
}

impl Error {
    fn code(&self) -> u8 {
        match self {
            Self::NoService | Self::UnknownService { .. } | Self::Extra(_) | Self::Environment(_) => USAGE,
            Self::Listen { .. } | Self::Chaos { .. } | Self::Start(_) | Self::Metrics(_) | Self::Serve(_) => {
                FAILED
            }
        }
    }
}

fn services() -> String {
    Service::ALL.iter().map(|service| service.name()).collect::<Vec<_>>().join(", ")
}

/// Runs the service that the arguments name, until it is told to stop.
pub async fn main(arguments: impl Iterator<Item = OsString>, environment: &Environment) -> ExitCode {
    let arguments: Vec<String> = arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    if arguments.get(1).is_some_and(|first| first == "--help" || first == "-h") {
        let _ = writeln!(io::stdout(), "usage: shop SERVICE\n\nservices: {}", services());
        return ExitCode::SUCCESS;
    }
    let outcome = match chosen(&arguments) {
        Ok(service) => run(service, environment).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            let _ = writeln!(io::stderr(), "shop: {error}{cause}");
            ExitCode::from(error.code())
        }
    }
}

/// By the name of the program, where that is a service's; else by the first argument.
fn chosen(arguments: &[String]) -> Result<Service, Error> {
    let program = arguments.first().and_then(|program| Path::new(program).file_name()?.to_str());
    let (service, rest) = match program.and_then(Service::named) {
        Some(service) => (service, arguments.get(1)),
        None => {
            let name = arguments.get(1).ok_or(Error::NoService)?;
            (
                Service::named(name).ok_or_else(|| Error::UnknownService { found: name.clone() })?,
                arguments.get(2),
            )
        }
    };
    rest.map_or(Ok(service), |extra| Err(Error::Extra(extra.clone())))
}

async fn run(service: Service, environment: &Environment) -> Result<(), Error> {
    let ip = environment.optional("BIND_IP", "an IP address", |text| text.parse::<IpAddr>().ok())?;
    let port = environment.optional("PORT", "a port, 0 to 65535", |text| text.parse::<u16>().ok())?;
    let address = SocketAddr::new(ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into()), port.unwrap_or(8080));
    let switch = environment.optional("CHAOS_ADDR", chaos::Address::ALLOWED, chaos::Address::parse)?;
    let drain = Drain::of(environment)?;

    let (log, writer) = Log::open(io::stdout())?;
    let app = App::new(service, environment, Metrics::new()?, log)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
    let private = app.chaos.routes().merge(Caller::of(environment).routes());
    let open = match &switch {
        Some(switch) => Some(switch.open(private).await.map_err(|source| {
            let address = environment.text("CHAOS_ADDR").unwrap_or_default().to_owned();
            Error::Chaos { address, source }
        })?),
        None => None,
    };
    app.tell("listening", &listener.local_addr()?.to_string());
    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let served = server::serve(listener, app.clone(), drain, shutdown).await;
    app.tell("stopped", served.as_ref().err().map(ToString::to_string).as_deref().unwrap_or("drained"));
    drop(open);
    drop(writer);
    Ok(served?)
}
