//! The command lines of the daemons. All paths are relative to the control plane's folder,
//! where they run, so that socket names stay short however long the folder's own is.

/// The name of etcd, of its log and of its binary.
pub(super) const ETCD: &str = "etcd";
/// The name of the API server, of its log and of its binary.
pub(super) const API_SERVER: &str = "kube-apiserver";
/// The name of the controller manager, of its log and of its binary.
pub(super) const CONTROLLER_MANAGER: &str = "kube-controller-manager";

/// The socket on which etcd serves the API server: no port to race for, and the folder keeps
/// other users of the machine out.
pub(super) const ETCD_SOCKET: &str = "etcd.sock";

/// Where the API server writes its audit log.
pub(super) const AUDIT_LOG: &str = "audit.log";

/// What makes namespaces go away, gives them their ServiceAccount, collects dependents, aggregates
/// roles, makes the pods of Deployments (which run where there is a [`crate::node`]), and says how many of them may be evicted.
const CONTROLLERS: &str = "namespace-controller,serviceaccount-controller,\
                           garbage-collector-controller,clusterrole-aggregation-controller,\
                           deployment-controller,replicaset-controller,\
                           disruption-controller,resourcequota-controller";

/// The arguments of etcd.
pub(super) fn etcd() -> Vec<String> {
    words(&[
        "--data-dir=etcd",
        &format!("--listen-client-urls=unix://{ETCD_SOCKET}"),
        // Not used, but some releases of etcd do not accept a socket here.
        "--advertise-client-urls=http://127.0.0.1:1",
        "--listen-peer-urls=unix://peer.sock",
        "--initial-advertise-peer-urls=unix://peer.sock",
        "--initial-cluster=default=unix://peer.sock",
        // The data is as short-lived as the machine's power.
        "--unsafe-no-fsync",
        // Tests of large objects store gigabytes, old versions of them included.
        "--quota-backend-bytes=8589934592",
        "--log-level=warn",
    ])
}

/// The arguments of the API server on `port` of 127.0.0.1.
pub(super) fn api_server(port: u16) -> Vec<String> {
    words(&[
        "--bind-address=127.0.0.1",
        &format!("--secure-port={port}"),
        // Otherwise it looks for an address of this machine that others can reach, and gives up
        // where there is no network; a loopback address it only takes with no reconciler.
        "--advertise-address=127.0.0.1",
        "--external-hostname=localhost",
        "--endpoint-reconciler-type=none",
        &format!("--etcd-servers=unix://{ETCD_SOCKET}"),
        "--tls-cert-file=apiserver.crt",
        "--tls-private-key-file=apiserver.key",
        "--client-ca-file=ca.crt",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        "--service-account-key-file=tokens.pub",
        "--service-account-signing-key-file=tokens.key",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--audit-policy-file=audit-policy.yaml",
        &format!("--audit-log-path={AUDIT_LOG}"),
        // A request is in the log before its answer ends, so a client that has the answer can count it.
        "--audit-log-mode=blocking",
        "--audit-log-maxsize=0",
        "--profiling=false",
    ])
}

/// The arguments of the controller manager.
pub(super) fn controller_manager() -> Vec<String> {
    words(&[
        "--kubeconfig=controller-manager.kubeconfig",
        &format!("--controllers={CONTROLLERS}"),
        "--use-service-account-credentials",
        "--leader-elect=false",
        // A quota that is older than the CRD of what it counts is only looked at again after this time.
        "--resource-quota-sync-period=5s",
        // It has no clients.
        "--secure-port=0",
    ])
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
