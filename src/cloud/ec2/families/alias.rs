//! `family@version`, and which versions of Kubernetes have which families.

use std::fmt;

use crate::api::ec2_node_class::{AMIFamily, EC2NodeClassSpec};
use crate::cloud::ec2::KubernetesVersion;

/// AL2 images ended with Kubernetes 1.32.
const FIRST_WITHOUT_AL2: KubernetesVersion = KubernetesVersion { major: 1, minor: 33 };
/// Windows Server 2025 images began with Kubernetes 1.35.
const FIRST_WITH_WINDOWS_2025: KubernetesVersion = KubernetesVersion { major: 1, minor: 35 };
const LATEST: &str = "latest";

/// An alias that has been read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alias {
    /// The family; never Custom.
    pub family: AMIFamily,
    /// `latest`, or a version such as `v20240807`.
    pub version: String,
}

/// Why an alias names no images.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AliasError {
    /// It is not of the form.
    #[error("found the alias '{0}': expected family@version, such as al2023@latest")]
    Malformed(String),
    /// Windows images have no versions.
    #[error("found the alias '{0}': Windows images have no other version than latest")]
    WindowsVersion(String),
    /// The family has no images for the cluster.
    #[error("found the alias '{alias}': {family:?} has no images for Kubernetes {version}: {instead}")]
    Unsupported {
        /// As it was written.
        alias: String,
        /// Its family.
        family: AMIFamily,
        /// Of the cluster.
        version: KubernetesVersion,
        /// What to do.
        instead: &'static str,
    },
}

impl Alias {
    /// That of a class, `<amiFamily>@latest` where it has no terms; `None` where it names its images otherwise.
    ///
    /// # Errors
    /// The alias cannot be read, or has no images for this version of Kubernetes.
    pub fn of_class(spec: &EC2NodeClassSpec, version: KubernetesVersion) -> Result<Option<Self>, AliasError> {
        let Some(text) = spec.ami_alias() else { return Ok(None) };
        let alias = Self::parse(&text)?;
        alias.check(version)?;
        Ok(Some(alias))
    }

    /// Reads one.
    ///
    /// # Errors
    /// It is not of the form, or its family is not known.
    pub fn parse(text: &str) -> Result<Self, AliasError> {
        let malformed = || AliasError::Malformed(text.to_owned());
        let (family, version) = text.split_once('@').ok_or_else(malformed)?;
        let family = AMIFamily::from_alias(family).ok_or_else(malformed)?;
        if version.is_empty() {
            return Err(malformed());
        }
        if super::is_windows(family) && version != LATEST {
            return Err(AliasError::WindowsVersion(text.to_owned()));
        }
        Ok(Self { family, version: version.to_owned() })
    }

    /// Whether what it stands for changes when AWS publishes an image.
    #[must_use]
    pub fn is_latest(&self) -> bool {
        self.version == LATEST
    }

    fn check(&self, version: KubernetesVersion) -> Result<(), AliasError> {
        let instead = match self.family {
            AMIFamily::AL2 if version >= FIRST_WITHOUT_AL2 => "the last version with AL2 is 1.32; use al2023",
            AMIFamily::Windows2025 if version < FIRST_WITH_WINDOWS_2025 => {
                "the first version with Windows2025 is 1.35; use windows2022"
            }
            _ => return Ok(()),
        };
        Err(AliasError::Unsupported { alias: self.to_string(), family: self.family, version, instead })
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.family.alias_name().unwrap_or_default(), self.version)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn version(minor: u32) -> KubernetesVersion {
        KubernetesVersion { major: 1, minor }
    }

    #[test]
    fn al2_ends_and_windows_2025_begins() {
        let check = |alias: &str, minor| Alias::parse(alias).unwrap().check(version(minor));
        assert_eq!(check("al2@latest", 32), Ok(()));
        let refused = check("al2@latest", 33).unwrap_err().to_string();
        assert_eq!(
            refused,
            "found the alias 'al2@latest': AL2 has no images for Kubernetes 1.33: the last version with AL2 is 1.32; use al2023"
        );
        assert!(check("windows2025@latest", 34).is_err());
        assert_eq!(check("windows2025@latest", 35), Ok(()));
        assert_eq!(check("al2023@v20240807", 36), Ok(()));
    }

    #[test]
    fn what_is_no_alias_is_refused() {
        for text in ["al2023", "ubuntu@latest", "al2023@", "custom@latest"] {
            assert_eq!(Alias::parse(text), Err(AliasError::Malformed(text.to_owned())));
        }
        assert!(matches!(Alias::parse("windows2022@v1"), Err(AliasError::WindowsVersion(_))));
    }

    #[test]
    fn a_family_without_terms_means_its_latest_images() {
        let spec = |family, terms: &str| EC2NodeClassSpec {
            ami_family: family,
            ami_selector_terms: serde_json::from_str(terms).unwrap(),
            ..EC2NodeClassSpec::default()
        };
        let of = |spec: &EC2NodeClassSpec| Alias::of_class(spec, version(31)).unwrap().map(|alias| alias.to_string());
        assert_eq!(of(&spec(Some(AMIFamily::AL2), "[]")).as_deref(), Some("al2@latest"));
        assert_eq!(of(&spec(None, r#"[{"alias": "bottlerocket@v1.20.0"}]"#)).as_deref(), Some("bottlerocket@v1.20.0"));
        assert_eq!(of(&spec(Some(AMIFamily::Custom), r#"[{"id": "ami-1"}]"#)), None);
    }
}
