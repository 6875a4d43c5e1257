//! Whether AWS would let nodes of a class be launched, as a launch template and dry runs say.

use crate::api::ec2_node_class::EC2NodeClass;
use crate::api::validate::Validate as _;
use crate::cloud::ec2::errors::{AwsError, Class, Scope};

/// What the dry runs came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Validation {
    /// Not made yet.
    #[default]
    Pending,
    /// All went well, or `disableDryRun` is set.
    Succeeded,
    /// One of them did not.
    Failed(ValidationFailure),
    /// They could not be made; they are made again, and what was known stays.
    Unknown(String),
}

/// The first thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ValidationFailure {
    /// Of the condition, as the reference names it.
    pub reason: &'static str,
    /// One sentence.
    pub message: String,
}

/// The calls that are tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum DryRun {
    CreateLaunchTemplate,
    CreateFleet,
    RunInstances,
}

impl Validation {
    /// What the answer of one dry run says; `None`: it would have gone well.
    #[must_use]
    pub fn of_dry_run(call: DryRun, class: &EC2NodeClass, error: &AwsError) -> Option<Self> {
        let (name, reason) = match call {
            DryRun::CreateLaunchTemplate => ("ec2:CreateLaunchTemplate", "CreateLaunchTemplateAuthCheckFailed"),
            DryRun::CreateFleet => ("ec2:CreateFleet", "CreateFleetAuthCheckFailed"),
            DryRun::RunInstances => ("ec2:RunInstances", "RunInstancesAuthCheckFailed"),
        };
        match error.class() {
            // rights were enough to come to a quota: other types and times are for launches to try
            Class::DryRun | Class::AlreadyExists | Class::Limit(Scope::Type) => None,
            // and to come to a lack of capacity
            Class::InsufficientCapacity(scope) if scope != Scope::Spot => None,
            Class::Unauthorized => {
                let message = format!("the controller may not call {name} for this class: {}", short(&error.message));
                Some(Self::Failed(ValidationFailure { reason, message }))
            }
            _ if error.launch_reason() == "UserDataSizeLimitExceeded" => {
                let message = format!("{name} does not take this class: {}", short(&error.to_string()));
                Some(Self::Failed(ValidationFailure { reason: "UserDataSizeLimitExceeded", message }))
            }
            // one that was made for a role EC2 may not know of yet
            _ if error.launch_reason() == "InstanceProfileNameInvalid" && class.spec.instance_profile.is_some() => {
                let name = class.spec.instance_profile.as_deref().unwrap_or_default();
                let message = format!(
                    "spec.instanceProfile: found '{name}': expected the name of an instance profile that is there: {}",
                    short(&error.message)
                );
                Some(Self::Failed(ValidationFailure { reason: "InstanceProfileNotFound", message }))
            }
            // of one type, image and moment (an image whose snapshot has just grown, a profile that EC2 does not know of yet): it says nothing
            // of rights, and takes down no class that works
            _ => Some(Self::Unknown(format!("{name}: {}", short(&error.to_string())))),
        }
    }
}

/// AWS appends the encoded context of a refusal, which nobody can read.
fn short(message: &str) -> &str {
    message.split("Encoded authorization failure message").next().unwrap_or(message).trim_end()
}

/// What is wrong with a class whatever AWS says.
#[must_use]
pub fn check_spec(class: &EC2NodeClass) -> Option<ValidationFailure> {
    let errors = class.validate();
    let first = errors.first()?;
    let reason = match first.field.as_str() {
        field if field.starts_with("spec.tags") => "TagValidationFailed",
        field if field.starts_with("spec.kubelet") && first.message.contains("do not support it") => {
            "UnsupportedKubeletConfiguration"
        }
        field if is_expression(class, field) => "KubeletExpressionsDisabled",
        field if field.starts_with("spec.kubelet") => "InvalidKubeletConfiguration",
        _ => "InvalidSpec",
    };
    let more = match errors.len() {
        1 => String::new(),
        count => format!(" (and {} more)", count - 1),
    };
    Some(ValidationFailure { reason, message: format!("{first}{more}") })
}

/// Whether a field of the kubelet's configuration has an expression over the type's size (the reference's gate NodeClassCEL), which is
/// not supported.
fn is_expression(class: &EC2NodeClass, field: &str) -> bool {
    let Some(path) = field.strip_prefix("spec.kubelet.") else { return false };
    let (name, key) = path.split_once('.').unwrap_or((path, ""));
    let kubelet = class.spec.kubelet.as_ref();
    let value =
        kubelet.and_then(|kubelet| kubelet.get(name)).map(|value| if key.is_empty() { value } else { &value[key] });
    let text = value.and_then(serde_json::Value::as_str).unwrap_or_default();
    ["maxPods", "kubeReserved", "systemReserved"].contains(&name) && text.chars().any(|sign| "+-*/(<>?_".contains(sign))
}
