//! Where Kubernetes objects come from: files, a live cluster, or both. Flags that several subcommands share.

use std::path::PathBuf;
use std::process::ExitCode;

use super::exit;
use crate::observe::{self, InputError, RawObject};

#[derive(Debug, clap::Args)]
pub struct InputArgs {
    /// Files, directories, or - for standard input: YAML or JSON, any number of documents and Lists. Beside a cluster, they are
    /// read after it: an object of the same name counts as it is here.
    #[arg(short, long = "filename", value_name = "PATH")]
    #[cfg_attr(feature = "live", arg(required_unless_present_any = ["kubeconfig", "context"]))]
    #[cfg_attr(not(feature = "live"), arg(required = true))]
    filename: Vec<PathBuf>,
    #[cfg(feature = "live")]
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// A live cluster.
#[cfg(feature = "live")]
#[derive(Debug, clap::Args)]
struct ClusterArgs {
    /// Read a live cluster, and write nothing: the one of this kubeconfig, or without a value that of KUBECONFIG or
    /// ~/.kube/config.
    #[expect(clippy::option_option, reason = "a flag whose value may be left out")]
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    kubeconfig: Option<Option<PathBuf>>,
    /// The context of the kubeconfig [default: its current one].
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// Objects as they were read, and what could not be read.
#[derive(Default)]
pub struct Input {
    pub objects: Vec<RawObject>,
    pub errors: Vec<InputError>,
    /// What of a cluster is not known, one sentence each.
    pub notes: Vec<String>,
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
        let (objects, errors) = observe::read_paths(&self.filename);
        input.objects.extend(objects);
        input.errors.extend(errors);
        if input.objects.is_empty() && !input.errors.is_empty() {
            for error in input.errors {
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
        let ClusterArgs { kubeconfig, context } = &self.cluster;
        if kubeconfig.is_none() && context.is_none() {
            return Ok(Input::default());
        }
        let target = crate::cluster::Target { kubeconfig: kubeconfig.clone().flatten(), context: context.clone() };
        let bar = indicatif::ProgressBar::new_spinner().with_message("objects read from the cluster");
        bar.set_style(
            indicatif::ProgressStyle::with_template("{spinner} {pos} {msg}")
                .unwrap_or_else(|_| indicatif::ProgressStyle::default_spinner()),
        );
        let read = crate::cluster::read(&target, &|count| {
            bar.set_position(count as u64);
            bar.tick();
        });
        bar.finish_and_clear();
        let reading = read.map_err(|error| {
            eprintln!("error: {error}");
            ExitCode::from(exit::INVALID_INPUT)
        })?;
        Ok(Input { objects: reading.objects, errors: reading.errors, notes: reading.notes })
    }
}
