//! `meshquake heal`: what a crashed run left behind is taken back.

use clap::Args;

use super::cluster::Where;
use super::on_cluster;
use super::print::{answer, fail, tell};
use crate::backend::Choice;
use crate::backend::local::worlds;
use crate::verdict::Exit;

#[derive(Args)]
pub struct Heal {
    #[command(flatten)]
    place: Where,
}

impl Heal {
    pub async fn execute(self) -> Exit {
        match self.place.resolve() {
            Ok((Choice::Local, _)) => {}
            Ok((choice, settings)) => return on_cluster::heal(&choice, &settings).await,
            Err(exit) => return exit,
        }
        let (healed, unreadable) = match worlds::heal().await {
            Ok(found) => found,
            Err(why) => return fail(Exit::INTERNAL, &why),
        };
        healed.iter().for_each(|one| answer(&one.to_string()));
        unreadable.iter().for_each(|why| tell(why));
        if healed.is_empty() && unreadable.is_empty() {
            answer("nothing to heal");
        }
        let failed = healed.iter().any(|one| one.outcome.is_err()) || !unreadable.is_empty();
        if failed { Exit::UNDO_FAILED } else { Exit::HELD }
    }
}
