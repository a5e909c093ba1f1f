//! `scale`: a Deployment gets another number of pods, zero included.

use super::{Active, Error, Ground, Proof, Undo};

#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    pub deployment: String,
    pub replicas: u32,
}

impl Scale {
    pub fn what(&self) -> String {
        format!("scale {} to {}", self.deployment, self.replicas)
    }

    pub async fn inject(&self, ground: &Ground<'_>, active: &mut Active) -> Result<(), Error> {
        let objects = ground.backend.objects();
        let facts = objects.deployment(ground.namespace, &self.deployment).await?;
        if facts.wanted == self.replicas {
            let what = format!("{}: it has {} already", self.what(), facts.wanted);
            return Err(Error::Nobody { what });
        }
        active.target = format!("{}, {} before", self.deployment, facts.wanted);
        let before = objects.pods(ground.namespace, &facts.selector).await?;
        active
            .write_down(
                ground,
                Undo::Scale {
                    namespace: ground.namespace.into(),
                    deployment: self.deployment.clone(),
                    replicas: facts.wanted,
                    during: self.replicas,
                },
            )
            .await?;
        objects.scale(ground.namespace, &self.deployment, self.replicas).await?;
        active.proof = Proof::Size {
            deployment: self.deployment.clone(),
            selector: facts.selector,
            replicas: self.replicas,
            before,
        };
        Ok(())
    }
}
