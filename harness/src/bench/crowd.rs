//! A world of as many pods and Services as are wanted: plain manifests, written into a folder and loaded like any other.
//!
//! Its apps are the last of the pinning world's chain, which answer without asking anybody. Every pod sees every Service,
//! and the gateway leads to all of them.

use std::fs;
use std::path::Path;

use meshquake_xds::source::Place;

use super::Error;
use crate::problem;
use crate::world::World;

const BASE: &str = include_str!("crowd/base.yaml");
const SERVICE: &str = include_str!("crowd/service.yaml");
const WORLD: &str = include_str!("crowd/world.yaml");
const KUSTOMIZATION: &str =
    "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources: [objects.yaml]\n";

/// A world with so many pods, spread evenly over so many Services; it is written below `folder`.
pub fn world(folder: &Path, pods: u32, services: u32) -> Result<World, Error> {
    let home = folder.join(format!("crowd-{pods}-{services}"));
    let write = |name: &str, text: &str| fs::write(home.join(name), text).map_err(Error::of);
    fs::create_dir_all(&home).map_err(Error::of)?;
    write("objects.yaml", &objects(pods, services))?;
    write("kustomization.yaml", KUSTOMIZATION)?;
    write("world.yaml", WORLD)?;
    let name = home.to_string_lossy();
    World::load(&name, None, folder, &Place::new("bench", 1))
        .map_err(|problems| Error::Failed(problem::plain(&problems)))
}

fn objects(pods: u32, services: u32) -> String {
    let mut routes = String::new();
    let mut rest = String::new();
    for service in 0..services {
        let name = format!("service-{service}");
        let weight = part(100, service, services);
        routes += &format!("        - {{destination: {{host: {name}}}, weight: {weight}}}\n");
        rest += &SERVICE.replace("NAME", &name).replace("PODS", &part(pods, service, services).to_string());
    }
    BASE.replace("ROUTES\n", &routes) + &rest
}

/// Of a whole, what falls to one of so many.
fn part(whole: u32, one: u32, of: u32) -> u32 {
    whole / of + u32::from(one < whole % of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crowd_is_a_world_without_a_problem() {
        let folder = tempfile::tempdir().expect("a folder");
        for (pods, services) in [(60, 20), (7, 2), (60, 1)] {
            let world = world(folder.path(), pods, services).expect("a good world");
            let replicas = world.objects.iter().filter(|object| object.kind() == "Deployment");
            let replicas = replicas.filter_map(|object| object.value["spec"]["replicas"].as_u64());
            assert_eq!(replicas.sum::<u64>(), u64::from(pods));
            assert_eq!(world.services().len(), services as usize);
            assert_eq!(world.warnings().collect::<Vec<_>>(), Vec::<String>::new());
        }
    }
}
