//! The images of a world: built, and brought to where pods run.
//!
//! [`prepare`] needs no cluster and goes on while one comes up; [`Prepared::supply`] brings what a cluster lacks. Images
//! that nobody builds are loaded where the local engine has them, and pulled by the cluster where it does not.

mod archive;
mod dockerfile;
mod linked;
pub mod name;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use tokio::sync::mpsc;

use super::provision::{self, Engine, Loader, Tell};
use super::settings::{ImageBuild, Settings};
use crate::world::{self, build};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Build(#[from] build::Error),
    #[error("the build could not be followed: {0}")]
    Followed(#[from] tokio::task::JoinError),
    #[error("the image of {} cannot be written: {source}", .what)]
    Write { what: String, source: std::io::Error },
    #[error("the image `{image}` could not be built from {}", .dockerfile.display())]
    Dockerfile { image: String, dockerfile: PathBuf, source: Box<provision::ToolError> },
    #[error("there is no {} to build the image `{image}` by", .dockerfile.display())]
    NoDockerfile { image: String, dockerfile: PathBuf },
    #[error("the image `{image}` could not be brought into the cluster")]
    Load { image: String, source: Box<provision::ToolError> },
    #[error(transparent)]
    Engine(#[from] provision::EngineError),
    #[error(
        "the image `{image}` is built here, and nobody can load it into this cluster: say where to push it by `registry` under [images] in meshquake.toml"
    )]
    NoWay { image: String },
}

/// What a world's images are, before a cluster has them.
pub struct Prepared {
    images: BTreeMap<String, Source>,
    registry: Option<String>,
}

/// An image to be loaded by hand.
pub struct ByHand {
    pub reference: String,
    /// Without one, the engine has it.
    pub archive: Option<tempfile::NamedTempFile>,
}

enum Source {
    /// A program of this machine.
    Program(archive::Image),
    /// The engine has it under this name.
    Engine(String),
    /// As the world names it.
    Named,
}

/// The images of a world, as it names them and as they are there already.
#[derive(Clone, Copy)]
pub struct Wanted<'w> {
    /// Where the world lies.
    pub folder: &'w Path,
    pub images: &'w world::Images,
    /// Programs that somebody has linked statically before; the images of these names are not built again.
    pub built: &'w world::Images,
    /// Of whom an image is made as well, with all that it is linked to: one of our own programs, by the image's name.
    pub own: Option<(&'w str, &'w Path)>,
}

/// Builds the images that a world says how to build: by the host's own toolchain, and where it has none by Dockerfiles.
pub async fn prepare(wanted: Wanted<'_>, settings: &Settings, tell: Tell<'_>) -> Result<Prepared, Error> {
    let Wanted { folder, images, built, own } = wanted;
    let mut given = packed(built)?;
    if let Some((name, program)) = own {
        let (name, program) = (name.to_owned(), program.to_owned());
        given.push(tokio::task::spawn_blocking(move || whole(name, &program)).await??);
    }
    let mut left = images.clone();
    left.retain(|name, _| !built.contains_key(name));
    let made = match settings.images.build {
        Some(ImageBuild::Host) => programs(folder, &left, tell).await?,
        Some(ImageBuild::Dockerfile) => by_dockerfiles(folder, &left, tell).await?,
        None => match programs(folder, &left, tell).await {
            Err(Error::Build(build::Error::NoCargo { program, .. })) => {
                tell(format!("there is no `{}` here, so the engine builds", program.display()));
                by_dockerfiles(folder, &left, tell).await?
            }
            made => made?,
        },
    };
    let mut sources: BTreeMap<String, Source> =
        images.keys().map(|name| (name.clone(), Source::Named)).collect();
    sources.extend(given.into_iter().chain(made));
    Ok(Prepared { images: sources, registry: settings.images.registry.clone() })
}

/// Programs as images.
fn packed(built: &world::Images) -> Result<Vec<(String, Source)>, Error> {
    let mut packed = Vec::new();
    for (name, image) in built {
        let Some((program, arguments)) = image.command.split_first() else { continue };
        let made = archive::Image::new(name, Path::new(program), arguments, &image.environment);
        let made = made.map_err(|source| Error::Write { what: program.clone(), source })?;
        packed.push((name.clone(), Source::Program(made)));
    }
    Ok(packed)
}

/// A program as it is, with all that it is linked to.
fn whole(name: String, program: &Path) -> Result<(String, Source), Error> {
    let image = linked::Linked::of(program)
        .and_then(|linked| archive::Image::with(&name, program, linked, &[], &BTreeMap::new()));
    let image = image.map_err(|source| Error::Write { what: program.display().to_string(), source })?;
    Ok((name, Source::Program(image)))
}

/// The programs, linked statically, as images.
async fn programs(
    folder: &Path,
    images: &BTreeMap<String, world::Image>,
    tell: Tell<'_>,
) -> Result<Vec<(String, Source)>, Error> {
    let (told, mut progress) = mpsc::unbounded_channel();
    let (folder, images) = (folder.to_owned(), images.clone());
    let building = tokio::task::spawn_blocking(move || {
        // Nobody listens any more only when the run was given up.
        let built = build::build_static(&folder, &images, &mut |step| drop(told.send(step.to_string())))?;
        packed(&built)
    });
    while let Some(text) = progress.recv().await {
        tell(text);
    }
    building.await?
}

async fn by_dockerfiles(
    folder: &Path,
    images: &BTreeMap<String, world::Image>,
    tell: Tell<'_>,
) -> Result<Vec<(String, Source)>, Error> {
    let mut built = Vec::new();
    for (name, image) in images {
        let Some(build) = &image.build else { continue };
        tell(format!("building the image of package `{}`", build.package));
        let reference = dockerfile::build(&Engine::find()?, folder, name, image, build).await?;
        built.push((name.clone(), Source::Engine(reference)));
    }
    Ok(built)
}

impl Prepared {
    /// Brings into the cluster what it lacks: the reference to run for each image that is not left to the cluster.
    pub async fn supply(
        &self,
        loader: Option<&Loader>,
        lock: Option<&File>,
        tell: Tell<'_>,
    ) -> Result<BTreeMap<String, String>, Error> {
        let present = match loader {
            Some(loader) => loader.present().await,
            None => BTreeSet::new(),
        };
        let mut references = BTreeMap::new();
        for (name, source) in &self.images {
            let failed = |source| Error::Load { image: name.clone(), source: Box::new(source) };
            let reference = match (source, loader) {
                (Source::Program(image), Some(loader)) => {
                    let reference = image.reference();
                    if !present.contains(&reference) {
                        tell(format!("loading {reference}"));
                        let file = written(image).await?;
                        loader.import(file.path(), lock).await.map_err(failed)?;
                    }
                    reference
                }
                (Source::Program(image), None) => {
                    let engine = Engine::find()?;
                    let file = written(image).await?;
                    let path = file.path().display().to_string();
                    engine.ask(&["load", "--input", &path]).await.map_err(failed)?;
                    self.push(&engine, name, &image.reference(), tell).await?
                }
                (Source::Engine(reference), Some(loader)) => {
                    loader.bring(reference, &present, lock, tell).await.map_err(failed)?;
                    reference.clone()
                }
                (Source::Engine(reference), None) => {
                    self.push(&Engine::find()?, name, reference, tell).await?
                }
                (Source::Named, Some(loader)) => {
                    if !loader.bring(name, &present, lock, tell).await.map_err(failed)? {
                        continue;
                    }
                    name.clone()
                }
                (Source::Named, None) => continue,
            };
            references.insert(name.clone(), reference);
        }
        Ok(references)
    }

    /// What a person would load with the cluster's tool alone, each beside the reference to run.
    pub async fn by_hand(&self, engine: &Engine) -> Result<BTreeMap<String, ByHand>, Error> {
        let mut loads = BTreeMap::new();
        for (name, source) in &self.images {
            let load = match source {
                Source::Program(image) => {
                    ByHand { reference: image.reference(), archive: Some(written(image).await?) }
                }
                Source::Engine(reference) => ByHand { reference: reference.clone(), archive: None },
                Source::Named if engine.image(name).await.is_some() => {
                    ByHand { reference: name.clone(), archive: None }
                }
                Source::Named => continue,
            };
            loads.insert(name.clone(), load);
        }
        Ok(loads)
    }

    async fn push(
        &self,
        engine: &Engine,
        image: &str,
        reference: &str,
        tell: Tell<'_>,
    ) -> Result<String, Error> {
        let registry = self.registry.as_ref().ok_or_else(|| Error::NoWay { image: image.to_owned() })?;
        let name = reference.split_once('/').map_or(reference, |(_, name)| name);
        let there = format!("{}/{name}", registry.trim_end_matches('/'));
        tell(format!("pushing {there}"));
        for words in [&["tag", reference, &there][..], &["push", "--quiet", &there]] {
            let failed = |source| Error::Load { image: image.to_owned(), source: Box::new(source) };
            engine.ask(words).await.map_err(failed)?;
        }
        Ok(there)
    }
}

/// The archive in a file that goes when it is dropped.
async fn written(image: &archive::Image) -> Result<tempfile::NamedTempFile, Error> {
    let (image, what) = (image.clone(), image.reference());
    let writing = tokio::task::spawn_blocking(move || {
        let mut file = tempfile::Builder::new().prefix("meshquake-").suffix(".tar").tempfile()?;
        image.write(file.as_file_mut())?;
        Ok(file)
    });
    writing.await?.map_err(|source| Error::Write { what, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::cluster::provision::fake;

    fn named(images: &[&str]) -> Prepared {
        let images = images.iter().map(|name| ((*name).to_owned(), Source::Named)).collect();
        Prepared { images, registry: None }
    }

    fn program(folder: &Path) -> Prepared {
        let file = folder.join("shop");
        std::fs::write(&file, "x").expect("written");
        let image = archive::Image::new("meshquake/shop:dev", &file, &[], &BTreeMap::new()).expect("read");
        Prepared {
            images: BTreeMap::from([("meshquake/shop:dev".into(), Source::Program(image))]),
            registry: None,
        }
    }

    /// The engine has redis, and the one node has what the file `present` lists.
    const DOCKER: &str = r#"case "$1 $5" in
        "exec list") ;;
        "image redis:7") echo sha256:redis ;;
        "image "*) exit 1 ;;
    esac
    if test "$1" = exec; then echo REF TYPE DIGEST; cat present 2>/dev/null; fi; true"#;

    #[tokio::test]
    async fn what_the_engine_has_is_loaded_once_and_the_rest_is_left_to_the_cluster() {
        let folder = tempfile::tempdir().expect("a folder");
        let loader = fake::loader(folder.path(), DOCKER);
        let world = named(&["redis:7", "postgres:16"]);
        let found = world.supply(Some(&loader), None, &|_| {}).await.expect("supplied");
        assert_eq!(found, BTreeMap::from([("redis:7".to_owned(), "redis:7".to_owned())]));
        let loads =
            |calls: Vec<String>| calls.iter().filter(|call| call.contains("load image-archive")).count();
        assert_eq!(
            loads(fake::calls(folder.path())),
            1,
            "postgres is not here: {:?}",
            fake::calls(folder.path())
        );
        let present = "sha256:redis x sha256:m\ndocker.io/library/redis:7 x sha256:m\n";
        std::fs::write(folder.path().join("present"), present).expect("written");
        world.supply(Some(&loader), None, &|_| {}).await.expect("supplied");
        assert_eq!(loads(fake::calls(folder.path())), 1, "the node has it");
    }

    #[tokio::test]
    async fn a_program_is_loaded_under_the_name_of_its_content() {
        let folder = tempfile::tempdir().expect("a folder");
        let loader = fake::loader(folder.path(), DOCKER);
        let world = program(folder.path());
        let found = world.supply(Some(&loader), None, &|_| {}).await.expect("supplied");
        let reference = &found["meshquake/shop:dev"];
        assert!(reference.starts_with("docker.io/meshquake/shop:"), "{reference}");
        let calls = fake::calls(folder.path());
        assert!(calls.iter().any(|call| call.contains("load image-archive")), "{calls:?}");
        std::fs::write(folder.path().join("present"), format!("{reference} x sha256:m\n")).expect("written");
        let before = fake::calls(folder.path()).len();
        world.supply(Some(&loader), None, &|_| {}).await.expect("supplied");
        assert_eq!(fake::calls(folder.path()).len(), before + 1, "only the node was asked");
    }
}
