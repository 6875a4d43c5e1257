//! Where Kubernetes objects come from: files, a live cluster, or both. Flags that several subcommands share.

use std::path::PathBuf;
use std::process::ExitCode;

#[cfg(feature = "live")]
use super::cluster::{ClusterArgs, Waiting};
use super::exit;
use crate::observe::{self, InputError, NotRead, RawObject};

#[derive(Debug, clap::Args)]
#[group(id = "input", required = true, multiple = true)]
#[cfg_attr(feature = "live", group(args = ["filename", "kubeconfig", "context"]))]
pub struct InputArgs {
    /// Files, directories, or - for standard input: YAML or JSON, any number of documents and Lists. Beside a cluster, they are
    /// read after it: an object of the same name counts as it is here.
    #[arg(short, long = "filename", value_name = "PATH")]
    filename: Vec<PathBuf>,
    #[cfg(feature = "live")]
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// Objects as they were read, and what could not be read.
#[derive(Default)]
pub struct Input {
    pub objects: Vec<RawObject>,
    /// Of files.
    pub unreadable: Vec<InputError>,
    /// Of clusters, also as an earlier snapshot has it.
    pub not_read: NotRead,
}

impl Input {
    pub fn errors(&self) -> Vec<InputError> {
        let mut errors = self.not_read.errors();
        errors.extend(self.unreadable.iter().cloned());
        errors
    }

    /// What of a cluster is not known, one sentence each.
    pub fn notes(&self) -> Vec<String> {
        self.not_read.notes()
    }
}

impl InputArgs {
    /// Reads everything; what cannot be gone on with has been printed.
    pub fn read(&self) -> Result<Input, ExitCode> {
        let invalid = ExitCode::from(exit::INVALID_INPUT);
        let missing: Vec<_> = self.filename.iter().filter(|path| path.as_os_str() != "-" && !path.exists()).collect();
        if !missing.is_empty() {
            for path in missing {
                eprintln!("error: {}: no such file or directory", path.display());
            }
            return Err(invalid);
        }
        let mut input = self.cluster()?;
        let (mut objects, unreadable) = observe::read_paths(&self.filename);
        let (before, edited) = NotRead::take(&mut objects);
        input.objects.extend(objects);
        input.not_read.extend(before);
        input.unreadable.extend(unreadable.into_iter().chain(edited));
        let errors = input.errors();
        if input.objects.is_empty() && !errors.is_empty() {
            for error in errors {
                eprintln!("error: {error}");
            }
            return Err(invalid);
        }
        Ok(input)
    }

    #[cfg(not(feature = "live"))]
    #[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "there is no cluster without the client")]
    fn cluster(&self) -> Result<Input, ExitCode> {
        Ok(Input::default())
    }

    #[cfg(feature = "live")]
    fn cluster(&self) -> Result<Input, ExitCode> {
        if !self.cluster.is_given() {
            return Ok(Input::default());
        }
        let waiting = Waiting::default();
        let read = crate::cluster::read(&self.cluster.target(), &|progress| waiting.show(&progress));
        waiting.end();
        let reading = read.map_err(|error| {
            eprintln!("error: {error}");
            ExitCode::from(exit::INVALID_INPUT)
        })?;
        Ok(Input { objects: reading.objects, unreadable: Vec::new(), not_read: reading.not_read })
    }
}
