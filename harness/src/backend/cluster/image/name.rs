//! Names of images, written out as engines and runtimes list them.

/// `meshquake/shop:dev` → `docker.io/meshquake/shop`
pub fn repository(name: &str) -> String {
    let (name, _) = parts(name);
    match name.split_once('/') {
        None => format!("docker.io/library/{name}"),
        Some((host, _)) if host.contains(['.', ':']) || host == "localhost" => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
    }
}

/// `redis` → `docker.io/library/redis:latest`
pub fn written_out(name: &str) -> String {
    let (_, tag) = parts(name);
    format!("{}:{}", repository(name), tag.unwrap_or("latest"))
}

/// An image that is named by its digest cannot be brought: an archive holds names and not digests.
pub fn by_digest(name: &str) -> bool {
    name.contains('@')
}

/// What comes before the tag, and the tag.
fn parts(name: &str) -> (&str, Option<&str>) {
    let name = name.split('@').next().unwrap_or(name);
    let from = name.rfind('/').map_or(0, |slash| slash + 1);
    match name[from..].find(':') {
        Some(colon) => (&name[..from + colon], Some(&name[from + colon + 1..])),
        None => (name, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_out() {
        for (name, repo, full) in [
            ("meshquake/shop:dev", "docker.io/meshquake/shop", "docker.io/meshquake/shop:dev"),
            ("redis", "docker.io/library/redis", "docker.io/library/redis:latest"),
            (
                "registry.example:5000/a/b@sha256:0",
                "registry.example:5000/a/b",
                "registry.example:5000/a/b:latest",
            ),
            ("localhost/a", "localhost/a", "localhost/a:latest"),
        ] {
            assert_eq!((repository(name).as_str(), written_out(name).as_str()), (repo, full));
        }
    }
}
