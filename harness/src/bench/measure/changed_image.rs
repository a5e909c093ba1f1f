//! The shop was changed and built: until its new image is in the cluster and its pods are ready.
//!
//! The program is the one that is built, with a few bytes behind its end that it never had before: another content, so
//! another image, whose layer no node has.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use tokio::sync::mpsc;

use super::super::figure::{Better, Parts, Statistic};
use super::super::{Bench, Error, Figure, bed};
use super::from_millis;
use crate::backend::Images;
use crate::backend::cluster::settings::ImageBuild;
use crate::event::{Relation, Unit};
use crate::world::{World, build};

pub fn declared() -> [Figure; 1] {
    [Figure::new(
        "changed-image",
        Unit::Seconds,
        Better::Lower,
        "From the end of the build of a changed shop to the pinning world ready with it, the cluster being there: the \
         image is packed and loaded, the world applied, every pod ready.",
    )
    .limit(Statistic::Median, Relation::AtMost, 20.0)
    .tolerance(0.25, 0.5)]
}

pub async fn take(bench: &Bench<'_>) -> Result<Vec<Figure>, Error> {
    if bench.plan.settings.images.build == Some(ImageBuild::Dockerfile) {
        return Err(Error::Failed(
            "the settings have images built by Dockerfiles; this figure needs `build = \"host\"`".to_owned(),
        ));
    }
    let world = bed::world(None)?;
    let built = programs(bench, &world).await?;
    // The cluster is to be there, with the image as it was.
    bed::within(bench, &world, &built, false, async |_| Ok(())).await?;
    let rounds = bench.rounds(3);
    let (mut samples, mut parts) = (Vec::new(), Parts::default());
    for round in 1..=rounds {
        let images = changed(&built, bench.folder, round).map_err(Error::of)?;
        let came_up = bed::within(bench, &world, &images, false, async |up| {
            Ok((up.took.as_secs_f64(), up.backend.facts().steps))
        });
        let (took, steps) = came_up.await?;
        for (name, took) in steps {
            parts.add(&name, Unit::Seconds, from_millis(took));
        }
        (bench.tell)(format!("image: {round} of {rounds}: {took:.2} s"));
        samples.push(took);
    }
    let [figure] = declared();
    Ok(vec![figure.with(samples).parts(parts)])
}

/// The shop as clusters run it, built before the clock starts.
async fn programs(bench: &Bench<'_>, world: &World) -> Result<Images, Error> {
    let (told, mut progress) = mpsc::unbounded_channel();
    let (folder, images) = (world.folder.clone(), world.images.clone());
    let building = tokio::task::spawn_blocking(move || {
        // Nobody listens any more only when the bench was given up.
        build::build_static(&folder, &images, &mut |step| drop(told.send(step.to_string())))
    });
    while let Some(text) = progress.recv().await {
        (bench.tell)(text);
    }
    building.await.map_err(Error::of)?.map_err(Error::of)
}

/// The same programs with another content.
fn changed(built: &Images, folder: &Path, round: usize) -> std::io::Result<Images> {
    let mut images = built.clone();
    for (number, image) in images.values_mut().enumerate() {
        let Some(program) = image.command.first_mut() else { continue };
        let name = Path::new(program.as_str()).file_name().unwrap_or_default().to_owned();
        let home = folder.join(format!("changed-{round}-{number}"));
        std::fs::create_dir_all(&home)?;
        let copy = home.join(name);
        std::fs::copy(&*program, &copy)?;
        let mut file = File::options().append(true).open(&copy)?;
        write!(file, "changed {} {round}", jiff::Timestamp::now())?;
        *program = copy.display().to_string();
    }
    Ok(images)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::Image;

    #[test]
    fn a_changed_program_is_the_same_with_something_behind_its_end() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("shop");
        std::fs::write(&program, "program").expect("written");
        let image =
            Image { command: vec![program.display().to_string(), "serve".into()], ..Image::default() };
        let built = Images::from([("shop:dev".to_owned(), image)]);
        let content =
            |images: &Images| std::fs::read_to_string(&images["shop:dev"].command[0]).expect("there");
        let one = changed(&built, folder.path(), 1).expect("changed");
        let two = changed(&built, folder.path(), 2).expect("changed");
        assert!(content(&one).starts_with("programchanged "));
        assert_ne!(content(&one), content(&two));
        assert_eq!(content(&built), "program", "what was built is as it was");
        assert!(one["shop:dev"].command[0].ends_with("/shop") && one["shop:dev"].command[1] == "serve");
    }
}
