//! The check of permissions. It comes before any answer that would reveal whether the operation exists (AIP-211).

use serde_json::json;

use crate::{
    protocol::{call::Call, rpc_code::RpcCode},
    scenario::permission::Permission,
    transport::reply::Reply,
};

/// Whether one of the grants allows it.
pub fn allowed(permissions: &[Permission], principal: &str, call: Call, resource: &str) -> bool {
    permissions.iter().any(|grant| {
        let below = |top: &String| {
            let rest = resource.strip_prefix(top.trim_end_matches('/'));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        (grant.principal == "*" || grant.principal == principal)
            && grant.calls.contains(&call)
            && grant.under.as_ref().is_none_or(below)
    })
}

/// IAM's refusal. Google publishes `dialogflow.operations.get`; the other names follow it.
pub fn denied(service: &str, call: Call, resource: &str) -> Reply {
    let verb = match call {
        Call::Get => "get",
        Call::List => "list",
        Call::Cancel => "cancel",
    };
    let permission = format!("{service}.operations.{verb}");
    let resource = format!("//{service}.googleapis.com/{resource}");
    let info = json!({
        "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "IAM_PERMISSION_DENIED",
        "domain": format!("{service}.googleapis.com"), "metadata": {"permission": permission, "resource": resource},
    });
    let message =
        format!("Permission '{permission}' denied on resource '{resource}' (or it may not exist).");
    Reply::error(RpcCode::PermissionDenied, &message, &[info])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_is_for_one_principal_its_calls_and_what_is_below() {
        let grant = Permission {
            principal: "a@x".into(),
            calls: vec![Call::Get],
            under: Some("projects/p".into()),
        };
        let allowed = |principal, call, resource| {
            allowed(std::slice::from_ref(&grant), principal, call, resource)
        };
        assert!(allowed("a@x", Call::Get, "projects/p/operations/o"));
        assert!(!allowed("b@x", Call::Get, "projects/p/operations/o"));
        assert!(!allowed("a@x", Call::Cancel, "projects/p/operations/o"));
        assert!(!allowed("a@x", Call::Get, "projects/pp/operations/o"));
    }
}
