//! An image by the Dockerfile beside its package, where this machine has an engine and no toolchain.

use std::path::Path;

use super::{Error, name};
use crate::backend::cluster::provision::{Engine, ToolError};
use crate::world::{self, build};

/// The name to run it by: the tag is its content.
pub async fn build(
    engine: &Engine,
    folder: &Path,
    name: &str,
    image: &world::Image,
    build: &world::Build,
) -> Result<String, Error> {
    let workspace = build::workspace_of(folder).unwrap_or_else(|| folder.to_owned());
    let dockerfile = build::package_folder(&workspace, &build.package).join("Dockerfile");
    if !dockerfile.is_file() {
        return Err(Error::NoDockerfile { image: name.to_owned(), dockerfile });
    }
    let features = format!("FEATURES={}", build.features.join(","));
    let (file, context) = (dockerfile.display().to_string(), workspace.display().to_string());
    let failed = |source| Error::Dockerfile {
        image: name.to_owned(),
        dockerfile: dockerfile.clone(),
        source: Box::new(source),
    };
    let words = ["build", "--quiet", "--file", &file, "--build-arg", &features, &context];
    let id = engine.ask(&words).await.map_err(failed)?;
    let reference = tag(engine, name, &id).await.map_err(failed)?;
    let Some(text) = on_top(&reference, image) else { return Ok(reference) };
    let words_of = tempfile::tempdir().map_err(|source| Error::Write { what: reference.clone(), source })?;
    let written = std::fs::write(words_of.path().join("Dockerfile"), text);
    written.map_err(|source| Error::Write { what: reference.clone(), source })?;
    let context = words_of.path().display().to_string();
    let id = engine.ask(&["build", "--quiet", &context]).await.map_err(failed)?;
    tag(engine, name, &id).await.map_err(failed)
}

async fn tag(engine: &Engine, name: &str, id: &str) -> Result<String, ToolError> {
    let id = id.trim().trim_start_matches("sha256:");
    let reference = format!("{}:{}", name::repository(name), id.get(..12).unwrap_or(id));
    engine.ask(&["tag", id, &reference]).await?;
    Ok(reference)
}

/// What the world says on top of its program, if it says more than that.
fn on_top(reference: &str, image: &world::Image) -> Option<String> {
    let (program, arguments) = image.command.split_first()?;
    if arguments.is_empty() && image.environment.is_empty() {
        return None;
    }
    let program = format!("/{}", program.rsplit('/').next().unwrap_or(program));
    let words: Vec<&String> = std::iter::once(&program).chain(arguments).collect();
    let mut text = format!("FROM {reference}\nENTRYPOINT {}\n", serde_json::json!(words));
    for (name, value) in &image.environment {
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$");
        text += &format!("ENV {name}=\"{value}\"\n");
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cluster::provision::{Which, fake};

    fn image(command: &[&str], environment: &[(&str, &str)]) -> world::Image {
        world::Image {
            command: command.iter().map(|&word| word.to_owned()).collect(),
            environment: environment.iter().map(|&(a, b)| (a.to_owned(), b.to_owned())).collect(),
            build: Some(world::Build { package: "tiny".into(), features: vec!["a".into(), "b".into()] }),
        }
    }

    #[test]
    fn a_worlds_words_come_on_top() {
        assert_eq!(on_top("x:1", &image(&["shop"], &[])), None);
        assert_eq!(
            on_top("x:1", &image(&["shop", "serve"], &[("PRICE", "5 $ \"net\"")])).as_deref(),
            Some("FROM x:1\nENTRYPOINT [\"/shop\",\"serve\"]\nENV PRICE=\"5 \\$ \\\"net\\\"\"\n")
        );
    }

    #[tokio::test]
    async fn the_packages_dockerfile_is_built_with_the_worlds_features() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().canonicalize().expect("there");
        let world = root.join("tiny/deploy");
        std::fs::create_dir_all(&world).expect("made");
        std::fs::write(root.join("Cargo.toml"), "[workspace]\nmembers = [\"tiny\"]\n").expect("written");
        std::fs::write(root.join("tiny/Cargo.toml"), "[package]\nname = \"tiny\"\n").expect("written");
        let tools = tempfile::tempdir().expect("a folder");
        let engine = Engine::of(fake::tool(tools.path(), Which::Docker, "echo sha256:0123456789abcdef"));
        let image = image(&["tiny"], &[]);
        let built = async || build(&engine, &world, "tiny:dev", &image, image.build.as_ref().unwrap()).await;
        let error = built().await.expect_err("there is none").to_string();
        assert!(error.starts_with("there is no ") && error.contains("tiny/Dockerfile"), "{error}");
        std::fs::write(root.join("tiny/Dockerfile"), "FROM scratch\n").expect("written");
        assert_eq!(built().await.expect("built"), "docker.io/library/tiny:0123456789ab");
        let root = root.display();
        assert_eq!(
            fake::calls(tools.path()),
            [
                format!("docker build --quiet --file {root}/tiny/Dockerfile --build-arg FEATURES=a,b {root}"),
                "docker tag 0123456789abcdef docker.io/library/tiny:0123456789ab".to_owned(),
            ]
        );
    }
}
