//! `scale`: a Deployment gets another number of pods, zero included.

use meshquake_xds::model::ObjectId;

use super::{Active, Error, Ground, Proof, Undo};

#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    pub deployment: ObjectId,
    pub replicas: u32,
}

impl Scale {
    pub fn what(&self) -> String {
        format!("scale {} to {}", self.deployment.name, self.replicas)
    }

    pub async fn inject(&self, ground: &Ground<'_>, active: &mut Active) -> Result<(), Error> {
        let objects = ground.backend.objects();
        let ObjectId { namespace, name } = &self.deployment;
        let facts = objects.deployment(namespace, name).await?;
        if facts.wanted == self.replicas {
            let what = format!("{}: it has {} already", self.what(), facts.wanted);
            return Err(Error::Nobody { what });
        }
        active.target = format!("{name}, {} before", facts.wanted);
        let before = objects.pods(namespace, &facts.selector).await?;
        active
            .write_down(
                ground,
                Undo::Scale {
                    namespace: namespace.clone(),
                    deployment: name.clone(),
                    replicas: facts.wanted,
                    during: self.replicas,
                },
            )
            .await?;
        objects.scale(namespace, name, self.replicas).await?;
        active.proof = Proof::Size {
            deployment: self.deployment.clone(),
            selector: facts.selector,
            replicas: self.replicas,
            before,
        };
        Ok(())
    }
}
