//! What errors of AWS mean.
//!
//! Source: karpenter-provider-aws `pkg/errors` (karpenter-aws 3.2); its reasons are those of conditions.

use std::fmt;

/// An error of an API of AWS, or of a pool of capacity in the answer of CreateFleet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct AwsError {
    /// Such as `InsufficientInstanceCapacity`.
    pub code: String,
    /// What AWS says.
    pub message: String,
}

impl fmt::Display for AwsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() { f.write_str(&self.code) } else { write!(f, "{}: {}", self.code, self.message) }
    }
}

/// What to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// It cannot be had now; others may be.
    InsufficientCapacity(Scope),
    /// A quota of the account is used up: it cannot be had until something ends or the quota is raised.
    Limit(Scope),
    /// Too many calls: the same again, later.
    Throttled,
    /// A right is missing: nothing changes until somebody changes a policy.
    Unauthorized,
    /// What was asked for is wrong: the node class, an image, a subnet.
    Configuration,
    /// What was named is not there.
    NotFound,
    /// What was to be made is there already.
    AlreadyExists,
    /// The same request was sent with other content under the same client token.
    TokenReused,
    /// Clock or credentials: sign anew.
    Expired,
    /// A dry run that would have gone well.
    DryRun,
    /// AWS has failed: the same again, later.
    Server,
    /// Anything else.
    Other,
}

/// What cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// A type in a zone, as it was to be bought.
    Offering,
    /// The type in no zone.
    Type,
    /// Anything in the subnet, and in the zone if it is the last of its subnets.
    Subnet,
    /// Anything in the zone, within the placement group.
    Zone,
    /// The capacity reservation.
    Reservation,
    /// Any spot capacity.
    Spot,
    /// Nothing that this request asks for.
    Request,
}

const SERVICE_LINKED_ROLE: &str = "AuthFailure.ServiceLinkedRoleCreationNotPermitted";

/// Codes and what they mean; what is not here is looked at by its beginning.
const CODES: &[(&str, Class)] = &[
    (SERVICE_LINKED_ROLE, Class::InsufficientCapacity(Scope::Spot)),
    ("InsufficientInstanceCapacity", Class::InsufficientCapacity(Scope::Offering)),
    ("InsufficientHostCapacity", Class::InsufficientCapacity(Scope::Offering)),
    ("InsufficientCapacity", Class::InsufficientCapacity(Scope::Offering)),
    ("InsufficientCapacityOnHost", Class::InsufficientCapacity(Scope::Offering)),
    ("UnfulfillableCapacity", Class::InsufficientCapacity(Scope::Offering)),
    ("SpotMaxPriceTooLow", Class::InsufficientCapacity(Scope::Offering)),
    // the type is not sold in that zone
    ("Unsupported", Class::InsufficientCapacity(Scope::Offering)),
    ("UnsupportedOperation", Class::Configuration),
    ("InsufficientFreeAddressesInSubnet", Class::InsufficientCapacity(Scope::Subnet)),
    ("ReservationCapacityExceeded", Class::InsufficientCapacity(Scope::Reservation)),
    ("InsufficientReservedInstanceCapacity", Class::InsufficientCapacity(Scope::Reservation)),
    // quotas are of the region
    ("VcpuLimitExceeded", Class::Limit(Scope::Type)),
    ("InstanceLimitExceeded", Class::Limit(Scope::Type)),
    ("MaxSpotInstanceCountExceeded", Class::Limit(Scope::Type)),
    ("MaxFleetCountExceeded", Class::Limit(Scope::Request)),
    ("VolumeLimitExceeded", Class::Limit(Scope::Request)),
    ("MaxIOPSLimitExceeded", Class::Limit(Scope::Request)),
    ("NetworkInterfaceLimitExceeded", Class::Limit(Scope::Request)),
    ("PendingVerification", Class::Limit(Scope::Request)),
    ("RequestLimitExceeded", Class::Throttled),
    ("Throttling", Class::Throttled),
    ("ThrottlingException", Class::Throttled),
    ("ThrottledException", Class::Throttled),
    ("TooManyRequestsException", Class::Throttled),
    ("EC2ThrottledException", Class::Throttled),
    ("RequestThrottled", Class::Throttled),
    ("SlowDown", Class::Throttled),
    ("ResourceCountExceeded", Class::Limit(Scope::Request)),
    ("UnauthorizedOperation", Class::Unauthorized),
    ("AccessDenied", Class::Unauthorized),
    ("AccessDeniedException", Class::Unauthorized),
    ("AuthFailure", Class::Unauthorized),
    ("OptInRequired", Class::Unauthorized),
    ("Blocked", Class::Unauthorized),
    ("UnrecognizedClientException", Class::Unauthorized),
    ("InvalidClientTokenId", Class::Unauthorized),
    ("ExpiredToken", Class::Expired),
    ("ExpiredTokenException", Class::Expired),
    ("RequestExpired", Class::Expired),
    ("RequestTimeTooSkewed", Class::Expired),
    ("SignatureDoesNotMatch", Class::Expired),
    ("InvalidSignatureException", Class::Expired),
    ("IdempotentParameterMismatch", Class::TokenReused),
    ("EntityAlreadyExists", Class::AlreadyExists),
    ("EntityAlreadyExistsException", Class::AlreadyExists),
    ("InvalidLaunchTemplateName.AlreadyExistsException", Class::AlreadyExists),
    ("QueueDoesNotExist", Class::NotFound),
    ("AWS.SimpleQueueService.NonExistentQueue", Class::NotFound),
    ("NoSuchEntity", Class::NotFound),
    ("NoSuchEntityException", Class::NotFound),
    ("ParameterNotFound", Class::NotFound),
    ("ParameterVersionNotFound", Class::NotFound),
    ("ResourceNotFoundException", Class::NotFound),
    ("DryRunOperation", Class::DryRun),
    ("InternalError", Class::Server),
    ("InternalFailure", Class::Server),
    ("InternalServerError", Class::Server),
    ("ServiceUnavailable", Class::Server),
    ("ServiceUnavailableException", Class::Server),
    ("Unavailable", Class::Server),
    ("RequestTimeout", Class::Server),
    ("FreeTierRestrictionError", Class::Configuration),
];

impl AwsError {
    /// An error.
    #[must_use]
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    /// What it means.
    #[must_use]
    pub fn class(&self) -> Class {
        let code = self.code.as_str();
        // a group of the strategy spread holds seven instances in a zone
        if code == "InsufficientInstanceCapacity" && is_of_spread_group(&self.message) {
            return Class::InsufficientCapacity(Scope::Zone);
        }
        // CreateFleet writes errors of RunInstances into the message of its own
        if self.message.contains(SERVICE_LINKED_ROLE) {
            return Class::InsufficientCapacity(Scope::Spot);
        }
        // of a type that is not sold in a zone
        if code == "InvalidFleetConfiguration"
            && self.message.contains("not supported in your requested Availability Zone")
        {
            return Class::InsufficientCapacity(Scope::Offering);
        }
        if let Some((_, class)) = CODES.iter().find(|(known, _)| *known == code) {
            return *class;
        }
        match code {
            _ if code.contains("NotFound") => Class::NotFound,
            _ if code.contains("AlreadyExists") || code.ends_with(".Duplicate") => Class::AlreadyExists,
            _ if code.starts_with("AuthFailure") => Class::Unauthorized,
            _ if code.contains("Throttl") => Class::Throttled,
            _ if ["Invalid", "Missing", "Malformed", "Validation", "Unknown", "Incorrect"]
                .iter()
                .any(|beginning| code.starts_with(beginning)) =>
            {
                Class::Configuration
            }
            _ => Class::Other,
        }
    }

    /// Whether it is about the request itself, so that no sending of it can have done anything.
    #[must_use]
    pub fn is_of_request(&self) -> bool {
        matches!(self.class(), Class::Unauthorized | Class::Configuration | Class::NotFound)
    }

    /// Whether a launch template that a request named is not there, so that it is made again at once.
    #[must_use]
    pub fn is_launch_template_missing(&self) -> bool {
        ["InvalidLaunchTemplateName.NotFoundException", "InvalidLaunchTemplateId.NotFound"]
            .contains(&self.code.as_str())
    }

    /// The reason that the reference gives in conditions and metrics of failed launches.
    #[must_use]
    pub fn launch_reason(&self) -> &'static str {
        let has = |text: &&str| self.code.contains(*text) || self.message.contains(*text);
        let reason = REASONS.iter().find(|(texts, _)| texts.iter().any(has));
        reason.map_or(LAUNCH_FAILED, |(_, reason)| reason)
    }

    /// As the message of a launch that has failed: the reason first, from which [`reason_of`] has it again.
    #[must_use]
    pub fn launch_message(&self) -> String {
        format!("{}: {self}", self.launch_reason())
    }
}

/// The reason of a condition for a message of [`AwsError::launch_message`]; of any other `LaunchFailed`.
#[must_use]
pub fn reason_of(message: &str) -> &'static str {
    let known = |reason: &str| message.strip_prefix(reason).is_some_and(|rest| rest.starts_with(": "));
    REASONS.iter().map(|(_, reason)| *reason).find(|reason| known(reason)).unwrap_or(LAUNCH_FAILED)
}

const LAUNCH_FAILED: &str = "LaunchFailed";

/// Texts in code or message, and the reason that they mean: the first that is found counts.
const REASONS: [(&[&str], &str); 18] = [
    (&[SERVICE_LINKED_ROLE], "SpotSLRCreationFailed"),
    (&["Not authorized for images"], "AMIAuthorizationFailure"),
    (&["UnauthorizedOperation", "AccessDenied", "AuthFailure"], "Unauthorized"),
    (&["belong to different networks"], "SecurityGroupSubnetVPCMismatch"),
    (&["iamInstanceProfile.name is invalid", "Invalid IAM Instance Profile name"], "InstanceProfileNameInvalid"),
    (&["InvalidLaunchTemplateId.NotFound", "InvalidLaunchTemplateName.NotFound"], "LaunchTemplateNotFound"),
    (&["User data is limited to 16384 bytes"], "UserDataSizeLimitExceeded"),
    (&["InvalidAMIID.Malformed"], "InvalidAMIID"),
    (&["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"], "AMINotFound"),
    (&["RequestLimitExceeded"], "RequestLimitExceeded"),
    (&["InternalError"], "InternalError"),
    (&["not eligible for Free Tier", "FreeTierRestriction"], "FreeTierIneligible"),
    // what is used up comes last: it is the reason only where every error is one of these
    (&["MaxFleetCountExceeded"], "FleetQuotaExceeded"),
    (&["PendingVerification"], "AccountPendingVerification"),
    (&["MaxSpotInstanceCountExceeded"], "SpotQuotaExceeded"),
    (&["VcpuLimitExceeded"], "VCPULimitExceeded"),
    (&["InsufficientFreeAddressesInSubnet"], "InsufficientFreeAddressesInSubnet"),
    (&["ReservationCapacityExceeded"], "ReservationCapacityExceeded"),
];

fn is_of_spread_group(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("placement group")
        && (message.contains("spread") || message.contains("seven") || message.contains(" 7 "))
}

impl Class {
    /// Whether others may still be had, so that the claim goes and its pods are planned anew.
    #[must_use]
    pub fn scope(self) -> Option<Scope> {
        match self {
            Self::InsufficientCapacity(scope) | Self::Limit(scope) => Some(scope),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_that_a_zone_does_not_have_cannot_be_had_there() {
        let message = "Your requested instance type (c7i.large) is not supported in your requested Availability Zone (us-east-1e).";
        let class = AwsError::new("InvalidFleetConfiguration", message).class();
        assert_eq!(class, Class::InsufficientCapacity(Scope::Offering));
        assert_eq!(AwsError::new("InvalidFleetConfiguration", "no overrides").class(), Class::Configuration);
    }

    #[test]
    fn every_code_of_the_reference_has_its_meaning() {
        use Class::{AlreadyExists, InsufficientCapacity, Limit, NotFound, Throttled, Unauthorized};
        for (code, class) in [
            ("InsufficientInstanceCapacity", InsufficientCapacity(Scope::Offering)),
            ("UnfulfillableCapacity", InsufficientCapacity(Scope::Offering)),
            ("Unsupported", InsufficientCapacity(Scope::Offering)),
            ("InsufficientFreeAddressesInSubnet", InsufficientCapacity(Scope::Subnet)),
            ("ReservationCapacityExceeded", InsufficientCapacity(Scope::Reservation)),
            ("MaxSpotInstanceCountExceeded", Limit(Scope::Type)),
            ("VcpuLimitExceeded", Limit(Scope::Type)),
            ("MaxFleetCountExceeded", Limit(Scope::Request)),
            ("InvalidCapacityReservationId.NotFound", NotFound),
            ("InvalidInstanceID.NotFound", NotFound),
            ("InvalidLaunchTemplateName.NotFoundException", NotFound),
            ("InvalidLaunchTemplateId.NotFound", NotFound),
            ("QueueDoesNotExist", NotFound),
            ("NoSuchEntity", NotFound),
            ("ParameterNotFound", NotFound),
            ("EntityAlreadyExists", AlreadyExists),
            ("RequestLimitExceeded", Throttled),
            ("UnauthorizedOperation", Unauthorized),
            ("AuthFailure", Unauthorized),
            // other capacity would not help
            ("LimitExceeded", Class::Other),
            ("TagLimitExceeded", Class::Other),
            ("FilterLimitExceeded", Class::Other),
            ("InvalidParameterValue", Class::Configuration),
            ("IdempotentParameterMismatch", Class::TokenReused),
            ("DryRunOperation", Class::DryRun),
            ("InternalError", Class::Server),
            ("Strange", Class::Other),
        ] {
            assert_eq!(AwsError::new(code, "").class(), class, "{code}");
        }
        let role = AwsError::new("AuthFailure.ServiceLinkedRoleCreationNotPermitted", "");
        assert_eq!(role.class(), InsufficientCapacity(Scope::Spot));
    }

    #[test]
    fn no_code_is_there_twice() {
        let mut codes: Vec<&str> = CODES.iter().map(|(code, _)| *code).collect();
        codes.sort_unstable();
        assert!(codes.windows(2).all(|pair| pair[0] != pair[1]));
    }

    #[test]
    fn reasons_are_those_of_the_reference() {
        for (code, message, reason) in [
            ("AuthFailure.ServiceLinkedRoleCreationNotPermitted", "", "SpotSLRCreationFailed"),
            ("UnauthorizedOperation", "You are not authorized", "Unauthorized"),
            (
                "InvalidParameterValue",
                "Value (x) for parameter iamInstanceProfile.name is invalid",
                "InstanceProfileNameInvalid",
            ),
            ("InvalidAMIID.Malformed", "", "InvalidAMIID"),
            ("InvalidAMIID.NotFound", "", "AMINotFound"),
            ("VcpuLimitExceeded", "", "VCPULimitExceeded"),
            ("MaxFleetCountExceeded", "", "FleetQuotaExceeded"),
            ("PendingVerification", "", "AccountPendingVerification"),
            ("InvalidUserData.Malformed", "User data is limited to 16384 bytes", "UserDataSizeLimitExceeded"),
            ("InsufficientInstanceCapacity", "", "LaunchFailed"),
            (
                "InvalidParameter",
                "Security group sg-1 and subnet subnet-1 belong to different networks.",
                "SecurityGroupSubnetVPCMismatch",
            ),
        ] {
            let error = AwsError::new(code, message);
            assert_eq!((error.launch_reason(), reason_of(&error.launch_message())), (reason, reason), "{code}");
        }
    }
}
