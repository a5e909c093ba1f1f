//! A world of a test, asked from outside: through its gateway, and on its socket.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::PATIENCE;

/// A world that is up.
pub struct World {
    pub id: String,
    /// Host and port of its way in.
    pub address: String,
    pub socket: PathBuf,
}

impl World {
    /// R of the 127.R.0.0/16 in which it is.
    pub fn slice(&self) -> u8 {
        let number = self.address.split('.').nth(1).and_then(|number| number.parse().ok());
        number.expect("an address in a slice, or on localhost where nobody else has the port")
    }

    /// The status that a request through the gateway gets.
    pub fn answers(&self) -> Result<u16, String> {
        status(&self.address)
    }

    /// That so many requests in a row all get 200.
    pub fn answers_well(&self, requests: u32) {
        for request in 1..=requests {
            assert_eq!(self.answers(), Ok(200), "request {request} of {requests} to {}", self.address);
        }
    }

    /// What the routes of the world say, by name.
    pub fn virtual_services(&self) -> BTreeMap<String, Value> {
        let stream = UnixStream::connect(&self.socket).expect("the supervisor answers");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        let path = "/apis/networking.istio.io/v1/namespaces/pinning/virtualservices";
        let (status, body) = get(stream, path).expect("the API answers");
        assert_eq!(status, 200, "{body}");
        let list: Value = serde_json::from_str(&body).expect("JSON");
        let items = list["items"].as_array().expect("a list").iter();
        items
            .map(|item| {
                (item["metadata"]["name"].as_str().unwrap_or_default().to_owned(), item["spec"].clone())
            })
            .collect()
    }
}

/// The status of a GET.
pub fn status(address: &str) -> Result<u16, String> {
    let stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).map_err(|error| error.to_string())?;
    Ok(get(stream, "/")?.0)
}

fn get(mut stream: impl Read + Write, path: &str) -> Result<(u16, String), String> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: test\r\nAccept: */*\r\nConnection: close\r\n\r\n");
    let mut answer = String::new();
    let told = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
    told.map_err(|error| error.to_string())?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or_else(|| format!("no answer: {answer:?}"))?;
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default();
    Ok((status, body))
}
