//! Tenants' own identities: real tokens from the real API server, exchanged by the emulator, which verifies them with the API server's
//! keys as Google does.

use std::time::Duration;

use operations_emulator::{
    Authorization, Call, Credentials, Fault, FaultCall, Permission, RequestRecord, RpcCode,
    Scenario, Script, credentials::MayImpersonate,
};
use serde_json::json;
use xtask::control_plane::audit;

use crate::{
    federation::provider,
    support::{
        cluster::{Namespace, cluster, json_of, kubectl_as_admin},
        object::Object,
        world::{World, of_operation},
    },
};

/// The pool of the emulated project, and its GKE cluster as the metadata server names it.
const POOL: &str = "emulated-project.svc.id.goog";
const CLUSTER: &str = "projects/emulated-project/locations/europe-west1/clusters/emulated-cluster";

/// The one name that the ServiceAccounts of all tenants have.
const NAME: &str = "deployer";

/// A tenant: a namespace with a ServiceAccount, a Google service account, and a project of its own.
struct Tenant<'a> {
    namespace: &'a Namespace,
    /// The project, and the name of the Google service account.
    project: &'static str,
}

impl Tenant<'_> {
    fn email(&self) -> String {
        format!("{0}@{0}.iam.gserviceaccount.com", self.project)
    }

    /// Google's name for the ServiceAccount.
    fn subject(&self) -> String {
        subject(&self.namespace.name, NAME)
    }

    fn operation(&self, id: &str) -> String {
        operation_of(self.project, id)
    }

    /// Creates the ServiceAccount, annotated with this.
    fn create_account(&self, annotation: Option<&str>) {
        create_account(&self.namespace.name, NAME, annotation);
    }

    /// Cancels any operation as the ServiceAccount.
    fn cancel(&self, name: &str, operation: &str) {
        let line = format!("serviceAccountName: {NAME}");
        let manifest = of_operation(name, operation, &[&line]);
        let applied = self
            .namespace
            .kubectl(&["apply", "--filename=-"], &manifest);
        applied.unwrap();
    }

    fn wait(&self, name: &str, for_: &str) -> Object {
        let waited = self.namespace.kubectl(
            &["wait", "opcancel", name, "--for", for_, "--timeout=90s"],
            "",
        );
        let object = self.object(name);
        assert!(waited.is_ok(), "{name} never {for_}: {waited:?} {object:?}");
        object
    }

    fn object(&self, name: &str) -> Object {
        let shown = self
            .namespace
            .kubectl(&["get", "opcancel", name, "--output=json"], "");
        Object(json_of(&shown.unwrap()))
    }

    /// Waits until the conditions have this reason.
    fn wait_for_reason(&self, name: &str, reason: &str) -> Object {
        let for_ = format!("jsonpath={{.status.conditions[?(@.type==\"Ready\")].reason}}={reason}");
        self.wait(name, &for_)
    }
}

fn operation_of(project: &str, id: &str) -> String {
    format!("projects/{project}/locations/europe-west1/operations/{id}")
}

fn subject(namespace: &str, name: &str) -> String {
    format!(
        "principal://iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/{POOL}/subject/ns/{namespace}/sa/{name}"
    )
}

fn create_account(namespace: &str, name: &str, annotation: Option<&str>) {
    let mut account = json!({
        "apiVersion": "v1", "kind": "ServiceAccount",
        "metadata": {"namespace": namespace, "name": name},
    });
    if let Some(email) = annotation {
        account["metadata"]["annotations"] = json!({"iam.gke.io/gcp-service-account": email});
    }
    kubectl_as_admin(&["create", "--filename=-"], &account.to_string()).unwrap();
}

fn annotate(namespace: &str, annotation: &str) {
    let key = format!("iam.gke.io/gcp-service-account{annotation}");
    let namespace = format!("--namespace={namespace}");
    let arguments = [
        "annotate",
        "--overwrite",
        "serviceaccount",
        NAME,
        &key,
        &namespace,
    ];
    kubectl_as_admin(&arguments, "").unwrap();
}

fn delete_account(namespace: &str) {
    let namespace = format!("--namespace={namespace}");
    kubectl_as_admin(&["delete", "serviceaccount", NAME, &namespace], "").unwrap();
}

/// What `deploy/components/service-accounts` gives the controller in a namespace.
fn allow_tokens(namespace: &str) {
    let meta = json!({"namespace": namespace, "name": "opcancel-service-accounts"});
    let rbac = "rbac.authorization.k8s.io";
    let list = json!({"apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": format!("{rbac}/v1"), "kind": "Role", "metadata": meta,
            "rules": [
                {"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": [NAME], "verbs": ["get"]},
                {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": [NAME], "verbs": ["create"]},
            ],
        },
        {
            "apiVersion": format!("{rbac}/v1"), "kind": "RoleBinding", "metadata": meta,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": "opcancel-service-accounts"},
            "subjects": [{"kind": "ServiceAccount", "name": "opcancel-controller", "namespace": "opcancel-system"}],
        },
    ]});
    kubectl_as_admin(&["create", "--filename=-"], &list.to_string()).unwrap();
}

/// Google's side: it knows this cluster by its keys, lets each tenant's ServiceAccount act as its Google service account, and lets
/// each of those cancel in its own project.
fn google(tenants: &[&Tenant<'_>]) -> Scenario {
    let credentials = Credentials {
        providers: vec![provider(
            &format!("identitynamespace:{POOL}:https://container.googleapis.com/v1/{CLUSTER}"),
            vec![POOL.to_owned()],
        )],
        impersonation: tenants
            .iter()
            .map(|tenant| MayImpersonate {
                principal: tenant.subject(),
                service_account: tenant.email(),
            })
            .collect(),
        ..Credentials::default()
    };
    let calls = vec![Call::Get, Call::Cancel];
    let may = |principal: String, project: &str| Permission {
        principal,
        calls: calls.clone(),
        under: Some(format!("projects/{project}")),
    };
    let mut permissions = Vec::new();
    for tenant in tenants {
        permissions.push(may(tenant.email(), tenant.project));
        permissions.push(may(tenant.subject(), tenant.project));
    }
    // The operator could do everything, and must do nothing.
    let operator = Scenario::default().identity.email;
    permissions.push(Permission {
        principal: operator,
        calls,
        under: None,
    });
    Scenario {
        credentials,
        permissions: Some(permissions),
        ..Scenario::default()
    }
}

/// A world with two tenants, the first of which has the world's namespace.
struct TwoTenants {
    world: World,
    other: Namespace,
}

impl TwoTenants {
    /// Nothing is granted yet, and no ServiceAccount exists. `operations` are in the projects of both.
    fn new(prefix: &str, operations: &[(&str, Script)], variables: &[(&str, &str)]) -> Self {
        cluster();
        let other = Namespace::new(&format!("{prefix}-other"));
        let watch = format!("--watch-namespace={}", other.name);
        // The scenario needs the name of the world's namespace, which the world makes: so it begins without one.
        let mut world = World::stopped(
            prefix,
            Scenario::default(),
            &[
                &watch,
                "--workload-identity-provider=gke",
                "--log-format=json",
            ],
            variables,
        );
        let two = |world: &World| {
            let (a, b) = (
                Tenant {
                    namespace: &world.namespace,
                    project: "team-a",
                },
                Tenant {
                    namespace: &other,
                    project: "team-b",
                },
            );
            let mut scenario = google(&[&a, &b]);
            for tenant in [&a, &b] {
                for (id, script) in operations {
                    scenario = scenario.with_operation(tenant.operation(id), script.clone());
                }
            }
            scenario
        };
        let scenario = two(&world);
        world.replace_emulator(scenario);
        let url = world.emulator.credentials_url().to_owned();
        world.set_argument("--sts-endpoint", &url);
        world.set_argument("--iam-credentials-endpoint", &url);
        for namespace in [&world.namespace, &other] {
            allow_tokens(&namespace.name);
        }
        Self { world, other }
    }

    fn a(&self) -> Tenant<'_> {
        Tenant {
            namespace: &self.world.namespace,
            project: "team-a",
        }
    }

    fn b(&self) -> Tenant<'_> {
        Tenant {
            namespace: &self.other,
            project: "team-b",
        }
    }

    /// Grants each tenant its own identity, in these projects.
    fn grant(&self, projects: &[&str]) {
        for tenant in [self.a(), self.b()] {
            let spec = json!({
                "namespaces": [tenant.namespace.name], "projects": projects, "identities": ["ServiceAccount"],
            });
            self.world.grant_spec(&tenant.namespace.name, &spec);
        }
    }

    /// The principals of the calls about an operation, in order.
    fn callers(&self, operation: &str) -> Vec<String> {
        let issued = self.world.emulator.tokens_issued();
        let requests = self.world.emulator.requests_for(operation);
        let principal = |request: RequestRecord| match request.authorization {
            Authorization::Token(id) => {
                let token = issued.iter().find(|token| token.id == id);
                token.map_or(id.clone(), |token| token.principal.clone())
            }
            other => format!("{other:?}"),
        };
        requests.into_iter().map(principal).collect()
    }

    /// The controller's requests for tokens, and its reads of ServiceAccounts, in both namespaces.
    fn requests_about_accounts(&self) -> (usize, usize) {
        let log = cluster().control_plane.audit_log();
        let mut requests = audit::requests(&log).unwrap();
        let mine = [&self.world.namespace.name, &self.other.name];
        requests.retain(|request| {
            request.resource == "serviceaccounts"
                && mine.contains(&&request.namespace)
                && request.is_from("opcancel-system", "opcancel-controller")
        });
        let tokens = |request: &&audit::Request| request.subresource == "token";
        let tokens = requests.iter().filter(tokens).count();
        (tokens, requests.len() - tokens)
    }

    /// The tokens that STS and IAM Credentials issued, by principal.
    fn tokens_of_tenants(&self) -> Vec<String> {
        let operator = Scenario::default().identity.email;
        let issued = self.world.emulator.tokens_issued().into_iter();
        let principals = issued.map(|token| token.principal);
        principals
            .filter(|principal| *principal != operator)
            .collect()
    }

    /// No token that was issued stands in a log, an event, an object or a metric.
    fn no_token_is_shown(&mut self) {
        let log = self.world.controller().log();
        let (_, metrics) = self.world.controller().admin("/metrics");
        let mut places = vec![("log", log), ("metrics", metrics)];
        for namespace in [&self.world.namespace.name, &self.other.name] {
            let namespace = format!("--namespace={namespace}");
            for kind in ["opcancel", "events"] {
                let arguments = [
                    "get",
                    kind,
                    &namespace,
                    "--output=yaml",
                    "--show-managed-fields",
                ];
                places.push((kind, kubectl_as_admin(&arguments, "").unwrap()));
            }
        }
        let tokens = self.world.emulator.tokens_issued();
        assert!(!tokens.is_empty());
        for (place, text) in &places {
            for token in &tokens {
                let secret = token.secret();
                assert!(
                    !text.contains(secret) && !text.contains(&secret[8..]),
                    "a token stands in the {place}"
                );
            }
            // Of a ServiceAccount's token the claims and the signature: every such token begins like this.
            assert!(!text.contains("eyJhbGciOi"), "a JWT stands in the {place}");
        }
    }
}

#[test]
fn each_tenant_acts_as_its_own_service_account_and_no_other() {
    let operations = [("own", Script::default()), ("stolen", Script::default())];
    let mut two = TwoTenants::new("tenants", &operations, &[("RUST_LOG", "trace")]);
    two.world.start();
    let (a, b) = (two.a(), two.b());
    let (email_a, email_b) = (a.email(), b.email());
    a.create_account(Some(&email_a));
    b.create_account(Some(&email_b));
    // Both may try everything: what stops them is Google's IAM.
    two.grant(&["team-a", "team-b"]);
    for tenant in [two.a(), two.b()] {
        tenant.cancel("own", &tenant.operation("own"));
        let object = tenant.wait("own", "condition=Finished");
        assert_eq!(object.outcome(), "Cancelled");
        assert_eq!(object.text("/status/identity/kind"), "ServiceAccount");
        assert_eq!(object.text("/status/identity/name"), NAME);
        assert_eq!(object.text("/status/identity/principal"), tenant.email());
        let callers = two.callers(&tenant.operation("own"));
        assert!(callers.len() >= 3, "{callers:?}");
        assert!(
            callers.iter().all(|caller| *caller == tenant.email()),
            "{callers:?}"
        );
    }
    // The operation of the other, with the name that both ServiceAccounts have.
    let (own, stolen) = (two.a(), two.b().operation("stolen"));
    own.cancel("stolen", &stolen);
    let object = own.wait_for_reason("stolen", "PermissionDenied");
    assert_eq!(object.text("/status/identity/principal"), email_a);
    let callers = two.callers(&stolen);
    assert!(
        callers.iter().all(|caller| *caller == email_a),
        "{callers:?}"
    );
    // An annotation with the account of the other: IAM has no binding for that.
    annotate(&two.world.namespace.name, &format!("={email_b}"));
    two.a().cancel("borrowed", &two.b().operation("own"));
    let object = two.a().wait_for_reason("borrowed", "ImpersonationFailed");
    let message = object.message("Ready");
    assert!(message.contains(&email_b), "{message}");
    let (subject_a, subject_b) = (two.a().subject(), two.b().subject());
    let allowed = [&subject_a, &email_a, &subject_b, &email_b];
    let issued = two.tokens_of_tenants();
    assert!(
        issued.iter().all(|principal| allowed.contains(&principal)),
        "{issued:?}"
    );
    let of_b = issued
        .iter()
        .filter(|principal| **principal == email_b)
        .count();
    assert_eq!(
        of_b, 1,
        "the second tenant's only token is its own: {issued:?}"
    );
    two.no_token_is_shown();
}

#[test]
fn without_a_grant_nothing_is_read_and_nothing_is_fetched() {
    let operations = [("op", Script::default())];
    let mut two = TwoTenants::new("denied", &operations, &[]);
    two.world.start();
    let a = two.a();
    a.create_account(Some(&a.email()));
    // Granted to the operator, and to the other namespace: neither is this tenant's own identity.
    two.world.grant_spec(
        &two.world.namespace.name,
        &json!({"projects": ["team-a"], "identities": ["Operator"]}),
    );
    two.world.grant_spec(
        &two.other.name,
        &json!({"namespaces": [two.other.name], "projects": ["team-a"], "identities": ["ServiceAccount"]}),
    );
    a.cancel("op", &a.operation("op"));
    a.wait_for_reason("op", "NoGrant");
    two.world.let_time_pass(Duration::from_millis(1500));
    assert_eq!(two.requests_about_accounts(), (0, 0));
    assert_eq!(two.tokens_of_tenants(), Vec::<String>::new());
    assert!(two.world.emulator.credentials_requests().is_empty());
    assert!(two.callers(&a.operation("op")).is_empty());
}

#[test]
fn a_service_account_that_changes_gets_no_token_of_what_it_was() {
    let never_ends = Script::cancelled_after(Duration::from_secs(3600));
    let operations = [
        ("first", Script::default()),
        ("second", Script::default()),
        ("third", never_ends),
    ];
    let mut two = TwoTenants::new("changing", &operations, &[]);
    two.world.start();
    two.grant(&["team-a"]);
    let a = two.a();
    let namespace = two.world.namespace.name.clone();
    a.create_account(Some(&a.email()));
    a.cancel("first", &a.operation("first"));
    a.wait("first", "condition=Finished");
    let (tokens, _) = two.requests_about_accounts();
    assert_eq!(tokens, 1, "one for all calls");

    // Without the annotation it acts for itself.
    annotate(&namespace, "-");
    a.cancel("second", &a.operation("second"));
    let object = a.wait("second", "condition=Finished");
    assert_eq!(
        object.text("/status/identity/principal"),
        format!("{POOL}[{namespace}/{NAME}]")
    );
    let callers = two.callers(&a.operation("second"));
    assert!(
        callers.iter().all(|caller| *caller == a.subject()),
        "{callers:?}"
    );

    // Deleted: nobody asks in its name any more.
    a.cancel("third", &a.operation("third"));
    a.wait("third", "condition=CancelRequested");
    delete_account(&namespace);
    let object = a.wait_for_reason("third", "ServiceAccountNotReady");
    assert!(
        object
            .message("Ready")
            .contains("does not exist; create it")
    );
    let before = two.callers(&a.operation("third")).len();
    two.world.let_time_pass(Duration::from_secs(2));
    assert_eq!(two.callers(&a.operation("third")).len(), before);

    // Created again under the same name: another ServiceAccount, whose token is fetched anew.
    let (tokens, _) = two.requests_about_accounts();
    a.create_account(Some(&a.email()));
    a.wait_for_reason("third", "Polling");
    assert_eq!(two.requests_about_accounts().0, tokens + 1);
    let callers = two.callers(&a.operation("third"));
    assert_eq!(callers.last(), Some(&a.email()));
}

#[test]
fn each_step_that_refuses_is_named_with_the_way_out_and_heals() {
    let operations = [("op", Script::default())];
    let mut two = TwoTenants::new("steps", &operations, &[("RUST_LOG", "trace")]);
    two.world.start();
    two.grant(&["team-a"]);
    let a = two.a();
    let namespace = two.world.namespace.name.clone();
    a.cancel("op", &a.operation("op"));
    let object = a.wait_for_reason("op", "ServiceAccountNotReady");
    let missing = format!(
        "token: ServiceAccount {namespace}/{NAME} cannot be used: it does not exist; create it"
    );
    assert_eq!(object.message("Ready"), missing);
    assert_eq!(object.text("/status/lastError/call"), "Token");
    assert_eq!(
        object.text("/status/lastError/domain"),
        "opcancel.github.io"
    );

    // The controller may not create its token.
    let in_namespace = format!("--namespace={namespace}");
    let rights = ["delete", "role", "opcancel-service-accounts", &in_namespace];
    kubectl_as_admin(&rights, "").unwrap();
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role",
        "metadata": {"namespace": namespace, "name": "opcancel-service-accounts"},
        "rules": [{"apiGroups": [""], "resources": ["serviceaccounts"], "resourceNames": [NAME], "verbs": ["get"]}],
    });
    kubectl_as_admin(&["create", "--filename=-"], &role.to_string()).unwrap();
    a.create_account(Some("nobody@team-a.iam.gserviceaccount.com"));
    // The delay between two tries has grown; a new object tries at once.
    a.cancel("request", &a.operation("op"));
    let object = a.wait_for_reason("request", "TokenRequestFailed");
    assert!(
        object.message("Ready").contains("may not create it"),
        "{object:?}"
    );

    kubectl_as_admin(&rights, "").unwrap();
    kubectl_as_admin(
        &[
            "delete",
            "rolebinding",
            "opcancel-service-accounts",
            &in_namespace,
        ],
        "",
    )
    .unwrap();
    allow_tokens(&namespace);
    a.cancel("impersonation", &a.operation("op"));
    let object = a.wait_for_reason("impersonation", "ImpersonationFailed");
    let message = object.message("Ready");
    assert!(
        message.contains("nobody@team-a") && message.contains("iam.serviceAccounts.getAccessToken"),
        "{message}"
    );
    annotate(&namespace, "=");
    a.cancel("annotation", &a.operation("op"));
    let object = a.wait_for_reason("annotation", "ServiceAccountNotReady");
    assert!(
        object
            .message("Ready")
            .contains("the annotation iam.gke.io/gcp-service-account")
    );

    annotate(&namespace, &format!("={}", a.email()));
    for name in ["op", "request", "impersonation", "annotation"] {
        let outcome = a.wait(name, "condition=Finished").outcome();
        assert!(
            ["Cancelled", "Completed"].contains(&outcome.as_str()),
            "{name}: {outcome}"
        );
    }
    let callers = two.callers(&a.operation("op"));
    assert!(
        callers.iter().all(|caller| *caller == a.email()),
        "never another identity: {callers:?}"
    );
    two.no_token_is_shown();
}

#[test]
fn a_revoked_grant_stops_the_next_call_and_a_refused_token_is_replaced() {
    let long = Script::cancelled_after(Duration::from_secs(3600));
    let refused = Fault::refuse(FaultCall::Get, RpcCode::Unauthenticated).times(1);
    let operations = [
        ("op", long),
        ("refused", Script::default().with_fault(refused)),
    ];
    let mut two = TwoTenants::new("revoked", &operations, &[]);
    two.world.start();
    two.grant(&["team-a"]);
    let a = two.a();
    a.create_account(Some(&a.email()));
    a.cancel("op", &a.operation("op"));
    a.wait("op", "condition=CancelRequested");
    a.cancel("refused", &a.operation("refused"));
    a.wait("refused", "condition=Finished");
    let of_a = |two: &TwoTenants| {
        let issued = two.tokens_of_tenants();
        issued
            .iter()
            .filter(|principal| **principal == a.email())
            .count()
    };
    assert_eq!(of_a(&two), 2, "the second one after the refusal");

    two.world.revoke(&two.world.namespace.name);
    a.wait_for_reason("op", "NoGrant");
    let before = (
        two.callers(&a.operation("op")).len(),
        two.requests_about_accounts(),
    );
    two.world.let_time_pass(Duration::from_secs(2));
    let after = (
        two.callers(&a.operation("op")).len(),
        two.requests_about_accounts(),
    );
    assert_eq!(before, after);
}

/// STS hangs for one tenant: the operator's calls go on, because a call that waits for a token has no worker.
#[test]
fn a_token_server_that_hangs_delays_nobody_else() {
    let operations: Vec<(String, Script)> = (0..6)
        .map(|n| (format!("op-{n}"), Script::default()))
        .collect();
    let operations: Vec<_> = operations
        .iter()
        .map(|(id, script)| (id.as_str(), script.clone()))
        .collect();
    let mut two = TwoTenants::new("hanging", &operations, &[("OPCANCEL_WORKERS", "1")]);
    // Accepts connections, and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = silent.local_addr().unwrap();
    two.world
        .set_argument("--sts-endpoint", &format!("http://{address}"));
    two.world.start();
    two.grant(&["team-a", "team-b"]);
    let operator = json!({"projects": ["team-a"], "identities": ["Operator"]});
    two.world
        .grant_spec(&format!("{}-operator", two.world.namespace.name), &operator);
    let b = two.b();
    b.create_account(None);
    for n in 0..5 {
        b.cancel(&format!("hangs-{n}"), &b.operation(&format!("op-{n}")));
    }
    let (stream, _) = silent.accept().unwrap();
    let a = two.a();
    let manifest = of_operation("plain", &a.operation("op-5"), &[]);
    two.world.apply(&manifest).unwrap();
    assert_eq!(a.wait("plain", "condition=Finished").outcome(), "Cancelled");
    // One exchange for all of them, which still hangs.
    silent.set_nonblocking(true).unwrap();
    assert!(silent.accept().is_err(), "a second exchange");
    drop((stream, silent));
    let object = b.wait_for_reason("hangs-0", "TokenExchangeFailed");
    assert!(
        object.message("Ready").contains(&address.to_string()),
        "{object:?}"
    );
    assert!(two.callers(&b.operation("op-0")).is_empty());
}

#[test]
fn many_objects_of_one_service_account_share_one_token() {
    let operations: Vec<String> = (0..12).map(|n| format!("op-{n}")).collect();
    let scripts: Vec<_> = operations
        .iter()
        .map(|id| (id.as_str(), Script::default()))
        .collect();
    let mut two = TwoTenants::new("shared", &scripts, &[]);
    two.world.start();
    two.grant(&["team-a"]);
    let a = two.a();
    a.create_account(Some(&a.email()));
    for id in &operations {
        a.cancel(id, &a.operation(id));
    }
    for id in &operations {
        assert_eq!(a.wait(id, "condition=Finished").outcome(), "Cancelled");
        assert_eq!(two.world.emulator.count(&a.operation(id), Call::Cancel), 1);
    }
    assert_eq!(two.requests_about_accounts().0, 1);
    let exchanges = two.world.emulator.credentials_requests();
    assert_eq!(exchanges.len(), 2, "one exchange and one impersonation");
}

/// The same on a cluster that is not Google's, by the two other forms of the flag.
#[test]
fn a_fleet_and_any_other_cluster_work_the_same() {
    const MEMBER: &str = "projects/emulated-project/locations/global/memberships/on-premises";
    const PROVIDER: &str =
        "projects/123456789012/locations/global/workloadIdentityPools/clusters/providers/one";
    cluster();
    for is_fleet in [true, false] {
        let (flag, name, audience) = match is_fleet {
            true => {
                let name =
                    format!("identitynamespace:{POOL}:https://gkehub.googleapis.com/{MEMBER}");
                (MEMBER, name, POOL.to_owned())
            }
            false => {
                let name = format!("//iam.googleapis.com/{PROVIDER}");
                (PROVIDER, name.clone(), name)
            }
        };
        let mut world = World::stopped("elsewhere", Scenario::default(), &[], &[]);
        let namespace = world.namespace.name.clone();
        let tenant = Tenant {
            namespace: &world.namespace,
            project: "team-a",
        };
        let email = tenant.email();
        let (subject, shown) = match is_fleet {
            true => (tenant.subject(), format!("{POOL}[{namespace}/{NAME}]")),
            false => {
                let pool = "iam.googleapis.com/projects/123456789012/locations/global/workloadIdentityPools/clusters";
                (
                    format!("principal://{pool}/subject/system:serviceaccount:{namespace}:{NAME}"),
                    format!("principalSet://{pool}/*"),
                )
            }
        };
        let (direct, impersonated) = (tenant.operation("direct"), tenant.operation("impersonated"));
        let scenario = Scenario {
            credentials: Credentials {
                providers: vec![provider(&name, vec![audience])],
                impersonation: vec![MayImpersonate {
                    principal: subject.clone(),
                    service_account: email.clone(),
                }],
                ..Credentials::default()
            },
            ..Scenario::default()
        }
        .with_operation(direct.clone(), Script::default())
        .with_operation(impersonated.clone(), Script::default());
        world.replace_emulator(scenario);
        let url = world.emulator.credentials_url().to_owned();
        world.set_argument("--sts-endpoint", &url);
        world.set_argument("--iam-credentials-endpoint", &url);
        world.set_argument("--workload-identity-provider", flag);
        world.start();
        let grant = json!({"projects": ["*"], "identities": ["ServiceAccount"]});
        world.grant_spec(&namespace, &grant);
        allow_tokens(&namespace);
        let tenant = Tenant {
            namespace: &world.namespace,
            project: "team-a",
        };
        tenant.create_account(None);
        for (name, operation, principal) in [
            ("direct", &direct, &shown),
            ("impersonated", &impersonated, &email),
        ] {
            tenant.cancel(name, operation);
            let object = tenant.wait(name, "condition=Finished");
            assert_eq!(object.outcome(), "Cancelled");
            assert_eq!(object.text("/status/identity/principal"), *principal);
            annotate(&namespace, &format!("={email}"));
        }
        let issued = world.emulator.tokens_issued();
        let of_tenants: Vec<_> = issued
            .iter()
            .map(|token| token.principal.as_str())
            .filter(|principal| [subject.as_str(), email.as_str()].contains(principal))
            .collect();
        assert_eq!(of_tenants, [subject.as_str(), &subject, &email], "{flag}");
    }
}
