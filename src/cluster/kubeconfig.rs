//! Kubeconfigs -> the configuration of one context, as kubectl reads them.

use std::env;
use std::io;
use std::path::{Path, PathBuf};

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};

use super::connect::Target;
use super::words::with_causes;

/// Reads the kubeconfig of a target: its configuration, and the name of its context. The error is one sentence.
pub(super) async fn configuration(target: &Target) -> Result<(Config, String), String> {
    let (name, file) = read(target.kubeconfig.as_deref(), env::var_os("KUBECONFIG").as_deref())?;
    let context = context(&name, &file, target.context.as_deref())?;
    let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(file, &options).await.map_err(|error| match error {
        KubeconfigError::LoadContext(context) => format!("{name}: context {context} is empty"),
        KubeconfigError::LoadClusterOfContext(cluster) => {
            format!("{name}: context {context} names cluster {cluster}, which is not there")
        }
        other => format!("{name}: context {context}: {}", with_causes(&other)),
    })?;
    Ok((config, context))
}

/// What a kubeconfig is called in errors, and what it holds: the file that is named, or those of KUBECONFIG (kubectl passes over
/// the missing ones of its list), or `~/.kube/config`.
fn read(named: Option<&Path>, variable: Option<&std::ffi::OsStr>) -> Result<(String, Kubeconfig), String> {
    if let Some(path) = named {
        return Ok((path.display().to_string(), read_file(path)?));
    }
    let listed: Vec<PathBuf> = variable.map(|list| env::split_paths(list).collect()).unwrap_or_default();
    let listed: Vec<PathBuf> = listed.into_iter().filter(|path| !path.as_os_str().is_empty()).collect();
    if listed.is_empty() {
        let file = Kubeconfig::read().map_err(|error| match error {
            KubeconfigError::ReadConfig(error, path) if error.kind() == io::ErrorKind::NotFound => {
                format!("{}: no such file; name a kubeconfig with --kubeconfig or KUBECONFIG", path.display())
            }
            other => unreadable("kubeconfig", other),
        })?;
        return Ok(("kubeconfig".to_owned(), file));
    }
    let names = listed.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    let there: Vec<&PathBuf> = listed.iter().filter(|path| path.exists()).collect();
    if there.is_empty() {
        return Err(format!("KUBECONFIG: no such file: {names}"));
    }
    let mut merged = Kubeconfig::default();
    for path in there {
        merged = merged.merge(read_file(path)?).map_err(|error| format!("KUBECONFIG: {names}: {error}"))?;
    }
    Ok((format!("kubeconfig {names}"), merged))
}

fn read_file(path: &Path) -> Result<Kubeconfig, String> {
    Kubeconfig::read_from(path).map_err(|error| unreadable(&path.display().to_string(), error))
}

fn unreadable(name: &str, error: KubeconfigError) -> String {
    match error {
        KubeconfigError::ReadConfig(error, path) if error.kind() == io::ErrorKind::NotFound => {
            format!("{}: no such file or directory", path.display())
        }
        KubeconfigError::ReadConfig(error, path) => format!("{}: failed to read: {error}", path.display()),
        KubeconfigError::Parse(error) => {
            let reason = error.to_string();
            format!("{name}: not a kubeconfig: {}", reason.lines().next().unwrap_or_default())
        }
        other => format!("{name}: {}", with_causes(&other)),
    }
}

/// The context that is asked for, else the current one.
fn context(name: &str, file: &Kubeconfig, asked: Option<&str>) -> Result<String, String> {
    let wanted = asked.or(file.current_context.as_deref()).filter(|context| !context.is_empty());
    if let Some(context) = wanted.filter(|wanted| file.contexts.iter().any(|context| context.name == *wanted)) {
        return Ok(context.to_owned());
    }
    let what = wanted.map_or("no current context".to_owned(), |context| format!("no context {context}"));
    let contexts: Vec<&str> = file.contexts.iter().map(|context| context.name.as_str()).collect();
    Err(match (contexts.as_slice(), wanted) {
        ([], _) => format!("{name}: {what}, and no other one"),
        (_, Some(_)) => format!("{name}: {what}: expected one of {}", contexts.join(", ")),
        (_, None) => format!("{name}: {what}: name one with --context: {}", contexts.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const REAL: &str = "{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: x, user: u}}], \
                        clusters: [{name: k, cluster: {server: 'http://127.0.0.1:1'}}]}";

    fn folder(name: &str) -> PathBuf {
        let folder = env::temp_dir().join(format!("packwright-kubeconfig-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn missing_files_of_the_list_are_passed_over() {
        let folder = folder("list");
        let (missing, real) = (folder.join("missing"), folder.join("real"));
        fs::write(&real, REAL).unwrap();
        let list = env::join_paths([&missing, &real]).unwrap();
        let (name, file) = read(None, Some(&list)).unwrap();
        assert_eq!(context(&name, &file, None).unwrap(), "c");
        let none = read(None, Some(missing.as_os_str())).unwrap_err();
        assert_eq!(none, format!("KUBECONFIG: no such file: {}", missing.display()));
        let named = read(Some(&missing), Some(&list)).unwrap_err();
        assert_eq!(named, format!("{}: no such file or directory", missing.display()));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_is_wrong_with_a_context_is_one_sentence() {
        let of = |text: &str, asked: Option<&str>| {
            let file = Kubeconfig::from_yaml(text).unwrap();
            context("file", &file, asked).unwrap_err()
        };
        assert_eq!(of("{apiVersion: v1, kind: Config}", None), "file: no current context, and no other one");
        assert_eq!(of("{apiVersion: v1, kind: Config}", Some("x")), "file: no context x, and no other one");
        assert_eq!(of(REAL, Some("x")), "file: no context x: expected one of c");
        let without = REAL.replace("current-context: c,", "");
        assert_eq!(of(&without, None), "file: no current context: name one with --context: c");
    }

    #[test]
    fn a_cluster_that_is_not_there_is_named_with_its_context() {
        let folder = folder("cluster");
        let path = folder.join("config");
        fs::write(&path, REAL).unwrap();
        let target = Target { kubeconfig: Some(path.clone()), context: None };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let error = runtime.block_on(configuration(&target)).err().unwrap();
        assert_eq!(error, format!("{}: context c names cluster x, which is not there", path.display()));
        fs::write(&path, "{contexts: 7}").unwrap();
        let error = runtime.block_on(configuration(&target)).err().unwrap();
        assert!(error.starts_with(&format!("{}: not a kubeconfig: ", path.display())), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
