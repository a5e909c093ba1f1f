//! The shared libraries of a program, as its own loader finds them.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What has to lie beside a program where there is nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Linked {
    /// The program that loads the others; none where everything is linked in.
    pub loader: Option<PathBuf>,
    /// The name that is looked for, and the file that is found.
    pub libraries: Vec<(String, PathBuf)>,
}

impl Linked {
    /// Of one of our own programs: it is started, and a static one answers for itself.
    pub fn of(program: &Path) -> io::Result<Self> {
        let mut command = Command::new(program);
        // Read by the loader of the C library, which then tells what it would load and ends.
        command.arg("--version").env("LD_TRACE_LOADED_OBJECTS", "1").stdin(Stdio::null());
        let output = command.stderr(Stdio::null()).output()?;
        Ok(Self::read(&String::from_utf8_lossy(&output.stdout)))
    }

    /// `libc.so.6 => /lib/libc.so.6 (0x…)` is a library, `/lib64/ld-linux.so.2 (0x…)` the loader; what the kernel
    /// brings has no path.
    fn read(text: &str) -> Self {
        let mut linked = Self::default();
        for line in text.lines() {
            let line = line.trim();
            let path =
                |text: &str| Some(text.split_once(" (")?.0.to_owned()).filter(|path| path.starts_with('/'));
            match line.split_once(" => ") {
                Some((name, found)) => {
                    linked.libraries.extend(path(found).map(|path| (name.to_owned(), path.into())));
                }
                None => linked.loader = path(line).map(PathBuf::from).or(linked.loader),
            }
        }
        linked.libraries.sort();
        linked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loader_says_what_it_would_load() {
        let told = "\tlinux-vdso.so.1 (0x00007fd0d5110000)\n\
                    \tlibm.so.6 => /lib/x86_64-linux-gnu/libm.so.6 (0x00007fd0d4ffe000)\n\
                    \tlibc.so.6 => /lib/x86_64-linux-gnu/libc-2.31.so (0x00007fd0d081e000)\n\
                    \t/lib64/ld-linux-x86-64.so.2 (0x00007fd0d5112000)\n";
        let library = |name: &str, path: &str| (name.to_owned(), PathBuf::from(path));
        let linked = Linked {
            loader: Some("/lib64/ld-linux-x86-64.so.2".into()),
            libraries: vec![
                library("libc.so.6", "/lib/x86_64-linux-gnu/libc-2.31.so"),
                library("libm.so.6", "/lib/x86_64-linux-gnu/libm.so.6"),
            ],
        };
        assert_eq!(Linked::read(told), linked);
        assert_eq!(
            Linked::read("meshquake 0.1.0\n"),
            Linked::default(),
            "a static program answers for itself"
        );
    }

    #[test]
    fn what_this_program_is_linked_to_is_there() {
        let linked = Linked::of(&std::env::current_exe().expect("a program")).expect("it starts");
        let mut files = linked.libraries.iter().map(|(_, path)| path).chain(&linked.loader);
        assert!(files.all(|path| path.is_file()), "{linked:?}");
        assert_eq!(linked.loader.is_some(), !linked.libraries.is_empty(), "{linked:?}");
    }
}
