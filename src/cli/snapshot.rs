//! `packwright snapshot --kubeconfig --out DIR`

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use super::exit;
use super::input::{Input, InputArgs};
use crate::observe::anonymous::Anonymizer;
use crate::observe::pruned::prune;
use crate::observe::{NotRead, RawObject};

/// The file of what could not be read.
const NOT_READ: &str = "not-read.json";

const EXAMPLES: &str = "\
Examples:
  packwright snapshot --context production --out production && packwright plan -f production
  packwright snapshot --context production --out to-share --anonymize

Environment variables, commands, arguments, user data and annotations that no decision reads are left out. What could not be read \
is saved as not-read.json, so that a plan says it too.

With --anonymize stay: the names of kinds, fields, resources and labels of Kubernetes, AWS, Karpenter and vendors of GPUs, and the \
values of well-known labels (zones, regions, instance types); quantities, times, truth values, and numbers of up to six digits, \
but of those that are values of other labels only the ones that some requirement compares with Gt, Lt, Gte or Lte; short words \
of Kubernetes such as default and kube-system. The rest becomes hashes, also the ids of AWS: --capacity-reservations finds none of \
them. A plan costs nearly the same: names break ties.

Exit codes, the first that applies:
  1  internal failure, or the directory cannot be written
  2  invalid input or a refused option, also where something could not be read and the rest was saved
  0  everything was saved";

/// Save what is read of a live cluster or of manifests, to plan on it later or elsewhere.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    #[command(flatten)]
    input: InputArgs,
    /// Where to: a new or empty directory; it gets one file a kind.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace names, namespaces, images, ids and the keys and values of labels that are not well-known by hashes.
    #[arg(long)]
    anonymize: bool,
    /// What hashes depend on: with the same text, a name has the same hash in every snapshot; whoever knows the text can test guesses
    /// [default: random].
    #[arg(long, value_name = "TEXT", requires = "anonymize")]
    salt: Option<String>,
}

/// Reads and writes.
///
/// # Errors
/// The directory cannot be written.
pub fn run(args: &Args) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let out = Directory::new(&args.out)?;
    let Some(out) = out else {
        eprintln!("error: --out {}: expected an empty or new directory", args.out.display());
        return Ok(ExitCode::from(exit::INVALID_INPUT));
    };
    let input = match args.input.read() {
        Ok(input) => input,
        Err(code) => {
            out.abandon();
            return Ok(code);
        }
    };
    let (errors, notes) = (input.errors(), input.notes());
    let Input { objects, unreadable, mut not_read } = input;
    not_read.extend(NotRead::of_files(&unreadable));
    let names = match (args.anonymize, &args.salt) {
        (false, _) => None,
        (true, Some(salt)) => Some(Anonymizer::new(salt.as_bytes())),
        (true, None) => Some(Anonymizer::new(&random()?)),
    };
    let names = names.map(|names| names.comparing(objects.iter().map(|object| &object.value)));
    let mut by_kind: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for RawObject { mut value, .. } in objects {
        prune(&mut value);
        let value = names.as_ref().map_or_else(|| value.clone(), |names| names.object(&value));
        let kind = value["kind"].as_str().unwrap_or("unknown").to_lowercase();
        by_kind.entry(kind).or_default().push(value);
    }
    for (kind, objects) in &by_kind {
        out.write(&format!("{kind}.json"), objects)?;
    }
    if !not_read.is_empty() {
        let kept = if args.anonymize { not_read.anonymous() } else { not_read };
        out.write(NOT_READ, &[kept.to_object()?])?;
    }
    for note in notes {
        eprintln!("note: {note}");
    }
    for error in &errors {
        eprintln!("error: {error}");
    }
    let count: usize = by_kind.values().map(Vec::len).sum();
    let counted = |count: usize, noun: &str| format!("{count} {noun}{}", if count == 1 { "" } else { "s" });
    println!("{}: {} of {}", args.out.display(), counted(count, "object"), counted(by_kind.len(), "kind"));
    Ok(ExitCode::from(if errors.is_empty() { exit::SUCCESS } else { exit::INVALID_INPUT }))
}

/// The directory that is written, found to be writable before anything is read.
struct Directory<'d> {
    path: &'d Path,
    is_new: bool,
}

impl<'d> Directory<'d> {
    /// `None` where something is there.
    fn new(path: &'d Path) -> Result<Option<Self>, String> {
        let fault = |error: io::Error| format!("--out {}: {error}", path.display());
        let is_new = !path.exists();
        if !is_new && (!path.is_dir() || std::fs::read_dir(path).map_err(fault)?.next().is_some()) {
            return Ok(None);
        }
        std::fs::create_dir_all(path).map_err(fault)?;
        let probe = path.join(NOT_READ);
        std::fs::File::create(&probe).and_then(|_| std::fs::remove_file(&probe)).map_err(fault)?;
        Ok(Some(Self { path, is_new }))
    }

    /// Nothing will be written.
    fn abandon(self) {
        if self.is_new {
            let _ = std::fs::remove_dir(self.path); // only tidiness
        }
    }

    fn write(&self, name: &str, objects: &[Value]) -> Result<(), String> {
        let path = self.path.join(name);
        write(&path, objects).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// A List, one object a line.
fn write(path: &Path, objects: &[Value]) -> io::Result<()> {
    let mut file = BufWriter::new(std::fs::File::create(path)?);
    write!(file, "{{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[")?;
    for (index, object) in objects.iter().enumerate() {
        file.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        serde_json::to_writer(&mut file, object)?;
    }
    file.write_all(b"\n]}\n")?;
    file.flush()
}

fn random() -> io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes)
}
