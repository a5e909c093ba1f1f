//! Another user of the machine: threads that have become uid nobody, which only root can do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use meshquake::parts::{self, Part};
use rustix::process::{Gid, Uid};
use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};

use crate::bed::{Bed, shop_folder, skipped};
use crate::support::{MESHQUAKE, root};
use crate::{program, refused};

pub const NOBODY: u32 = 65534;

/// Whether nothing can be tried as another user; says so past the capture of the test harness.
pub fn cannot_be_had() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        skipped("only root can try what another user of the machine can do");
    }
    !is_root
}

/// Does it as uid nobody. The kernel keeps users by thread, so the rest of this program stays what it is.
pub fn as_nobody<T: Send>(act: impl FnOnce() -> T + Send) -> T {
    let become_nobody = || {
        let (uid, gid) = (Uid::from_raw(NOBODY), Gid::from_raw(NOBODY));
        set_thread_groups(&[])?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)
    };
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            become_nobody().expect("root can become nobody");
            act()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Bed {
    /// `meshquake` of another user, at home in this bed, with programs and a world that they can reach.
    pub fn as_of_nobody(&self, arguments: &[&str]) -> Command {
        let home = self.path("");
        if !self.path("bin").exists() {
            self.furnish();
        }
        let mut command = Command::new(self.path("bin/meshquake"));
        command.args(arguments).current_dir(&home).stdin(Stdio::null()).env_clear();
        command.env("PATH", format!("{}:/usr/bin:/bin", self.path("bin").display()));
        command.env("HOME", self.path("h")).env("XDG_RUNTIME_DIR", self.path("r"));
        command.env(Part::Envoy.variable(), self.path("bin/envoy")).uid(NOBODY).gid(NOBODY);
        command
    }

    fn furnish(&self) {
        let envoy = parts::find(Part::Envoy, &|_| {}).expect("an Envoy").path;
        let programs =
            [("meshquake", PathBuf::from(MESHQUAKE)), ("shop", shop_folder().join("shop")), ("envoy", envoy)];
        fs::create_dir(self.path("bin")).expect("a folder for programs");
        for (name, from) in programs {
            program::copy(&from, &self.path("bin").join(name));
        }
        refused::copy(&root().join("services/deploy/pinning"), &self.path("pinning"));
        fs::create_dir(self.path("h")).expect("a home");
        for theirs in ["h", "r"] {
            std::os::unix::fs::chown(self.path(theirs), Some(NOBODY), Some(NOBODY)).expect("given away");
        }
        fs::set_permissions(self.path(""), fs::Permissions::from_mode(0o755)).expect("opened");
    }
}
