//! `packwright snapshot --kubeconfig --out DIR`

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use super::exit;
use super::input::{Input, InputArgs};
use crate::observe::RawObject;
use crate::observe::anonymous::Anonymizer;
use crate::observe::pruned::prune;

const EXAMPLES: &str = "\
Examples:
  packwright snapshot --context production --out production && packwright plan -f production
  packwright snapshot --context production --out to-share --anonymize

Environment variables, commands, arguments, user data and annotations that no decision reads are left out. With --anonymize a plan
costs nearly the same: names break ties.

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
    /// Replace names, labels outside well-known keys, images and namespaces by hashes.
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
    let is_used = args.out.exists() && (!args.out.is_dir() || std::fs::read_dir(&args.out)?.next().is_some());
    if is_used {
        eprintln!("error: --out {}: expected an empty or new directory", args.out.display());
        return Ok(ExitCode::from(exit::INVALID_INPUT));
    }
    let Input { objects, errors, notes } = match args.input.read() {
        Ok(input) => input,
        Err(code) => return Ok(code),
    };
    let names = match (args.anonymize, &args.salt) {
        (false, _) => None,
        (true, Some(salt)) => Some(Anonymizer::new(salt.as_bytes())),
        (true, None) => Some(Anonymizer::new(&random()?)),
    };
    let mut by_kind: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for RawObject { mut value, .. } in objects {
        prune(&mut value);
        let value = names.as_ref().map_or_else(|| value.clone(), |names| names.object(&value));
        let kind = value["kind"].as_str().unwrap_or("unknown").to_lowercase();
        by_kind.entry(kind).or_default().push(value);
    }
    std::fs::create_dir_all(&args.out)?;
    for (kind, objects) in &by_kind {
        write(&args.out.join(format!("{kind}.json")), objects)?;
    }
    for note in notes {
        eprintln!("note: {note}");
    }
    for error in &errors {
        eprintln!("error: {error}");
    }
    let count: usize = by_kind.values().map(Vec::len).sum();
    println!("{}: {count} objects of {} kinds", args.out.display(), by_kind.len());
    Ok(ExitCode::from(if errors.is_empty() { exit::SUCCESS } else { exit::INVALID_INPUT }))
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
