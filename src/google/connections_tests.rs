use super::*;
use crate::google::connections::{
    connection::tests::unanswered,
    tls::{Trust, install_provider},
};
use tokio::io::DuplexStream;

struct Two {
    connections: Connections,
    first: Arc<Connection>,
    second: Arc<Connection>,
    _far: [DuplexStream; 2],
}

impl Two {
    async fn open() -> Self {
        install_provider();
        let second = Duration::from_secs(1);
        let connector = Connector::new(Trust::new(Vec::new(), false), second, second, None);
        let origin = Origin::new("https://localhost:1", true).unwrap();
        let connections = Connections::new(origin, Arc::new(connector));
        let ((first, near), (second, far)) = (unanswered().await, unanswered().await);
        let (first, second) = (Arc::new(first), Arc::new(second));
        for (place, connection) in [&first, &second].into_iter().enumerate() {
            connections.slot(place).unwrap().open = Some(connection.clone());
        }
        Self {
            connections,
            first,
            second,
            _far: [near, far],
        }
    }

    /// The number of the connection that is chosen, 0 for a new one, asked twice.
    fn chosen(&self, kind: RequestKind, now: Instant) -> [usize; 2] {
        [(); 2].map(|()| match self.connections.choose(kind, now) {
            Choice::Open(connection, _) if Arc::ptr_eq(&connection, &self.first) => 1,
            Choice::Open(connection, _) if Arc::ptr_eq(&connection, &self.second) => 2,
            Choice::Open(..) => panic!("an unknown connection"),
            Choice::Place(_) => 0,
        })
    }
}

#[tokio::test]
async fn a_cancel_leaves_where_nothing_is_waited_for() {
    let two = Two::open().await;
    let now = Instant::now() + Duration::from_secs(1);
    for kind in [RequestKind::Get, RequestKind::Cancel] {
        assert_eq!(two.chosen(kind, now), [1, 2]);
    }
    let get = two.first.begin(now);
    let soon = now + Duration::from_millis(50);
    assert_eq!(two.chosen(RequestKind::Cancel, soon), [2, 2]);
    assert_eq!(two.chosen(RequestKind::Get, soon), [1, 2]);
    let later = now + Duration::from_secs(2);
    assert_eq!(two.chosen(RequestKind::Get, later), [2, 2]);
    get.answered(later);
    assert_eq!(two.chosen(RequestKind::Get, later), [1, 2]);
}

/// What swallowed the one may have swallowed the other.
#[tokio::test]
async fn beside_a_stuck_connection_one_is_trusted_that_was_heard_lately() {
    let two = Two::open().await;
    let now = Instant::now() + Duration::from_secs(100);
    let _get = two.first.begin(now);
    let budget = now + Duration::from_millis(250);
    two.second.begin(now).answered(now);
    assert_eq!(two.chosen(RequestKind::Cancel, budget), [2, 2]);
    let two = Two::open().await;
    let _get = two.first.begin(now);
    assert_eq!(two.chosen(RequestKind::Cancel, budget), [0, 0]);
}

/// Before, each connection was used until two calls on it had timed out: 40 s.
#[tokio::test]
async fn a_call_that_times_out_unanswered_ends_the_use_of_all_that_were_silent() {
    let two = Two::open().await;
    let began = Instant::now() + Duration::from_secs(1);
    let used = UsedConnection::default();
    used.set(Some((two.first.clone(), began)));
    drop(two.first.begin(began));
    two.connections.note(&used, true);
    let now = began + Duration::from_secs(10);
    assert_eq!(two.chosen(RequestKind::Get, now), [0, 0]);

    let two = Two::open().await;
    used.set(Some((two.first.clone(), began)));
    two.second.begin(began).answered(now);
    two.connections.note(&used, true);
    assert_eq!(two.chosen(RequestKind::Get, now), [2, 2]);

    // It answers others: the operation may be the slow one.
    let two = Two::open().await;
    used.set(Some((two.first.clone(), began)));
    two.first.begin(began).answered(now);
    two.connections.note(&used, true);
    assert_eq!(two.chosen(RequestKind::Get, now), [1, 2]);
}

#[tokio::test]
async fn where_all_are_stuck_one_is_replaced_and_not_all_the_time() {
    let two = Two::open().await;
    let now = Instant::now() + Duration::from_secs(1);
    let (_get, _other) = (two.first.begin(now), two.second.begin(now));
    let soon = now + Duration::from_secs(3);
    assert!(!two.chosen(RequestKind::Cancel, soon).contains(&0));
    let late = now + REPLACED_AFTER;
    assert_eq!(two.chosen(RequestKind::Cancel, late), [0, 0]);
    assert!(
        two.first.idle_since().is_none(),
        "what is under way goes on"
    );
}
