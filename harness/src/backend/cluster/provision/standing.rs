//! A cluster of ours from the moment its API answers: Istio and what comes after it are put into it.

use std::fs::File;
use std::time::Instant;

use kube::{Client, Config};

use super::load::Loader;
use super::made::Shop;
use super::maker::ISTIO_VALUES;
use super::record::Record;
use super::{Error, Step, Tell, addon, istio, manifests};

/// A cluster whose API answers, with its lock; Istio may still be missing.
pub(super) struct Standing {
    pub shop: Shop,
    pub client: Client,
    pub config: Config,
    pub versions: Vec<(String, String)>,
    pub digest: String,
    pub made: bool,
    pub complete: bool,
    pub loader: Loader,
    pub lock: File,
}

impl Standing {
    /// Puts Istio and what comes after it into the cluster, if it is not there yet.
    pub async fn complete(&mut self, took: &mut Vec<Step>, tell: Tell<'_>) -> Result<(), Error> {
        if self.complete {
            return Ok(());
        }
        let settings = &self.shop.settings;
        let istioctl = istio::istioctl(settings).await?;
        let version = istio::wanted(settings).to_owned();
        let began = Instant::now();
        // All of them first: a pod that does not find its image tries again only after a while.
        let present = self.loader.present().await;
        for image in istio::images(&version) {
            self.loader.bring(&image, &present, Some(&self.lock), tell).await?;
        }
        took.push(Step::new("Istio's images", began));
        tell(format!("installing Istio {version}"));
        let began = Instant::now();
        let ours = self.shop.desk.file("istio.yaml", ISTIO_VALUES).map_err(Error::Mark)?;
        let kubeconfig = self.shop.desk.kubeconfig().display().to_string();
        let context = self.shop.maker.context(self.shop.name());
        let words = istio::install(settings, &kubeconfig, &context, ours);
        istioctl.act(&words, Some(&self.lock), &|_| {}).await.map_err(Error::Install)?;
        took.push(Step::new("Istio", began));
        let began = Instant::now();
        manifests::apply(&self.client, &settings.istio.manifests).await?;
        let record = Record { digest: self.digest.clone(), ready: true, istio: version };
        record.write(&self.client).await.map_err(Error::Api)?;
        took.push(Step::new("manifests", began));
        self.complete = true;
        Ok(())
    }

    /// Without it only the second opinion is missing.
    pub async fn put_prometheus(&self, tell: Tell<'_>) {
        let rules = &self.shop.settings.metrics.relabel;
        if let Err(why) = addon::put(&self.client, &self.loader, &self.lock, rules, tell).await {
            tell(format!("note: Prometheus could not be put into the cluster: {why}"));
        }
    }

    pub fn lock(&self) -> &File {
        &self.lock
    }
}
