//! An image of one program, and of what it is linked to, as the archive that every engine and runtime imports.
//!
//! Written here and not by an engine: it takes milliseconds, needs none, and the same program gives the same bytes.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tar::{EntryType, Header};

use super::linked::Linked;
use super::name;

/// Nobody, and not root.
const USER: &str = "65532:65532";
const EPOCH: &str = "1970-01-01T00:00:00Z";

/// An image that is known down to the byte; its archive is written when it is wanted.
#[derive(Clone, Debug)]
pub struct Image {
    program: PathBuf,
    linked: Linked,
    config: Vec<u8>,
    /// `docker.io/meshquake/shop`
    repository: String,
}

impl Image {
    /// A static program, with what follows it in the command and the environment, under the name of a world's image.
    pub fn new(
        name: &str,
        program: &Path,
        arguments: &[String],
        environment: &BTreeMap<String, String>,
    ) -> io::Result<Self> {
        Self::with(name, program, Linked::default(), arguments, environment)
    }

    /// A program that needs its libraries beside it.
    pub fn with(
        name: &str,
        program: &Path,
        linked: Linked,
        arguments: &[String],
        environment: &BTreeMap<String, String>,
    ) -> io::Result<Self> {
        let mut layer = Hashing(Sha256::new());
        write_layer(program, &linked, &mut layer)?;
        let mut entrypoint = Vec::new();
        if let Some(loader) = &linked.loader {
            let loader = format!("/{LIBRARIES}/{}", file_name(loader));
            entrypoint.extend([loader, "--library-path".to_owned(), format!("/{LIBRARIES}")]);
        }
        entrypoint.push(format!("/{}", file_name(program)));
        entrypoint.extend(arguments.iter().cloned());
        let environment: Vec<String> =
            environment.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let config = json!({
            "architecture": architecture(),
            "os": "linux",
            "created": EPOCH,
            "config": {"User": USER, "WorkingDir": "/", "Entrypoint": entrypoint, "Env": environment},
            "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{}", hex(layer.0))]},
            "history": [{"created": EPOCH, "created_by": "meshquake"}],
        });
        let config = serde_json::to_vec(&config)?;
        Ok(Self { program: program.to_owned(), linked, config, repository: name::repository(name) })
    }

    fn id(&self) -> String {
        hex(Sha256::new().chain_update(&self.config))
    }

    /// The name to run it by: the tag is its content.
    pub fn reference(&self) -> String {
        format!("{}:{}", self.repository, &self.id()[..12])
    }

    /// Writes the archive.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        let mut layer = Vec::new();
        write_layer(&self.program, &self.linked, &mut layer)?;
        let layer_name = format!("{}/layer.tar", hex(Sha256::new().chain_update(&layer)));
        let config_name = format!("{}.json", self.id());
        let manifest: Value =
            json!([{"Config": config_name, "RepoTags": [self.reference()], "Layers": [layer_name]}]);
        let mut archive = tar::Builder::new(to);
        add(&mut archive, &config_name, 0o644, &self.config)?;
        add(&mut archive, &layer_name, 0o644, &layer)?;
        add(&mut archive, "manifest.json", 0o644, manifest.to_string().as_bytes())?;
        archive.finish()
    }
}

/// Where what a program is linked to lies in its image.
const LIBRARIES: &str = "lib";

/// The file system: the program with its libraries, and a place for what is mounted over `/tmp`.
fn write_layer(program: &Path, linked: &Linked, to: &mut dyn Write) -> io::Result<()> {
    let mut layer = tar::Builder::new(to);
    add(&mut layer, file_name(program), 0o555, &std::fs::read(program)?)?;
    let loader = linked.loader.iter().map(|loader| (file_name(loader), loader));
    let libraries = linked.libraries.iter().map(|(name, path)| (name.as_str(), path));
    for (name, path) in loader.chain(libraries) {
        add(&mut layer, &format!("{LIBRARIES}/{name}"), 0o555, &std::fs::read(path)?)?;
    }
    let mut folder = header(0o1777, 0);
    folder.set_entry_type(EntryType::Directory);
    layer.append_data(&mut folder, "tmp/", io::empty())?;
    layer.finish()
}

fn add(archive: &mut tar::Builder<impl Write>, name: &str, mode: u32, bytes: &[u8]) -> io::Result<()> {
    archive.append_data(&mut header(mode, bytes.len()), name, bytes)
}

/// Without times and owners, that the same content is the same archive.
fn header(mode: u32, size: usize) -> Header {
    let mut header = Header::new_ustar();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(mode);
    header.set_size(size as u64);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn file_name(program: &Path) -> &str {
    program.file_name().and_then(|name| name.to_str()).unwrap_or("program")
}

/// In the words of images.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

struct Hashing(Sha256);

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hex(hasher: Sha256) -> String {
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(program: &Path, argument: &str) -> Image {
        Image::new("meshquake/shop:dev", program, &[argument.to_owned()], &BTreeMap::new()).expect("read")
    }

    #[test]
    fn the_same_program_is_the_same_image_and_another_is_another() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("shop");
        std::fs::write(&program, "one").expect("written");
        let first = image(&program, "a");
        let bytes = |image: &Image| {
            let mut bytes = Vec::new();
            image.write(&mut bytes).expect("written");
            bytes
        };
        assert_eq!(bytes(&first), bytes(&image(&program, "a")));
        assert_ne!(first.reference(), image(&program, "b").reference(), "the command is part of it");
        std::fs::write(&program, "two").expect("written");
        assert_ne!(first.reference(), image(&program, "a").reference(), "the program is part of it");
    }

    #[test]
    fn a_program_is_started_by_the_loader_that_lies_beside_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str| {
            let file = folder.path().join(name);
            std::fs::write(&file, name).expect("written");
            file
        };
        let libraries = vec![("libc.so.6".to_owned(), file("libc-2.31.so"))];
        let linked = Linked { loader: Some(file("ld-linux.so.2")), libraries };
        let arguments = ["worker".to_owned()];
        let image =
            Image::with("meshquake/meshquake:dev", &file("meshquake"), linked, &arguments, &BTreeMap::new())
                .expect("read");
        let config: Value = serde_json::from_slice(&image.config).expect("JSON");
        let entrypoint = ["/lib/ld-linux.so.2", "--library-path", "/lib", "/meshquake", "worker"];
        assert_eq!(config["config"]["Entrypoint"], json!(entrypoint));
        let mut layer = Vec::new();
        write_layer(&image.program, &image.linked, &mut layer).expect("written");
        let mut archive = tar::Archive::new(layer.as_slice());
        let entries = archive.entries().expect("entries").map(|entry| entry.expect("an entry"));
        let names: Vec<_> =
            entries.map(|entry| entry.path().expect("a name").display().to_string()).collect();
        assert_eq!(names, ["meshquake", "lib/ld-linux.so.2", "lib/libc.so.6", "tmp/"]);
    }

    #[test]
    fn the_archive_says_what_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join("shop");
        std::fs::write(&program, "one").expect("written");
        let image = image(&program, "a");
        let mut bytes = Vec::new();
        image.write(&mut bytes).expect("written");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
        for entry in archive.entries().expect("entries") {
            let mut entry = entry.expect("an entry");
            let name = entry.path().expect("a name").display().to_string();
            let mut content = Vec::new();
            io::Read::read_to_end(&mut entry, &mut content).expect("read");
            files.insert(name, content);
        }
        let manifest: Value = serde_json::from_slice(&files["manifest.json"]).expect("JSON");
        assert_eq!(manifest[0]["RepoTags"][0], image.reference());
        let config = files[manifest[0]["Config"].as_str().expect("a name")].clone();
        assert_eq!(manifest[0]["Config"], format!("{}.json", hex(Sha256::new().chain_update(&config))));
        let config: Value = serde_json::from_slice(&config).expect("JSON");
        assert_eq!(config["config"]["User"], "65532:65532");
        assert_eq!(config["config"]["Entrypoint"], json!(["/shop", "a"]));
        let layer = &files[manifest[0]["Layers"][0].as_str().expect("a name")];
        let digest = format!("sha256:{}", hex(Sha256::new().chain_update(layer)));
        assert_eq!(config["rootfs"]["diff_ids"][0], digest, "runtimes refuse a layer of another digest");
    }
}
