use super::*;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Gives `token-1`, `token-2`, ... with this life, or fails while `failing` says so.
#[derive(Debug)]
struct CountingCredential {
    life: Duration,
    fetches: AtomicUsize,
    failing: std::sync::atomic::AtomicBool,
    panicking: bool,
}

impl Credential for CountingCredential {
    fn fetch(&self) -> BoxFuture<'_, Result<FetchedToken, FetchFailed>> {
        let number = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
        let failing = self.failing.load(Ordering::SeqCst);
        assert!(!(self.panicking && number == 1), "the first one breaks");
        Box::pin(async move {
            if failing {
                return Err(FetchFailed::Failed("no".to_owned()));
            }
            Ok(FetchedToken {
                token: Token::new(&format!("token-{number}")).unwrap(),
                life: self.life,
            })
        })
    }

    fn principal(&self) -> Option<String> {
        None
    }

    fn source(&self) -> String {
        "a test".to_owned()
    }
}

/// Time that stands still until a test moves it on.
#[derive(Default)]
struct ManualClock(AtomicU64);

impl ManualClock {
    fn advance(&self, time: Duration) {
        let millis = u64::try_from(time.as_millis()).unwrap();
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

struct Fixture {
    cache: TokenCache,
    credential: Arc<CountingCredential>,
    clock: Arc<ManualClock>,
    observed: Arc<AtomicUsize>,
}

fn fixture(life: Duration, panicking: bool) -> Fixture {
    observed(life, panicking, |_| ())
}

/// `hear` gets how many fetches were observed before.
fn observed(
    life: Duration,
    panicking: bool,
    hear: impl Fn(usize) + Send + Sync + 'static,
) -> Fixture {
    let credential = Arc::new(CountingCredential {
        life,
        fetches: AtomicUsize::new(0),
        failing: false.into(),
        panicking,
    });
    let timing = FetchTiming {
        fetch_timeout: Duration::from_secs(180),
        min_pause: Duration::from_millis(500),
        max_pause: Duration::from_secs(30),
        refused_pause: Duration::from_secs(10),
    };
    let observed = Arc::new(AtomicUsize::new(0));
    let counter = observed.clone();
    let observer = FetchObserver::new(move |_| {
        hear(counter.fetch_add(1, Ordering::SeqCst));
    });
    let (began, clock) = (Instant::now(), Arc::<ManualClock>::default());
    let read = clock.clone();
    let now = Box::new(move || began + Duration::from_millis(read.0.load(Ordering::SeqCst)));
    Fixture {
        cache: TokenCache::with_clock(credential.clone(), timing, observer, now),
        credential,
        clock,
        observed,
    }
}

impl Fixture {
    async fn next(&self) -> String {
        match self.cache.token().await {
            Ok(token) => token.secret().to_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn fetches(&self) -> usize {
        self.credential.fetches.load(Ordering::SeqCst)
    }

    fn fail(&self, failing: bool) {
        self.credential.failing.store(failing, Ordering::SeqCst);
    }

    /// Waits for the end of a fetch in the background, if there is one.
    async fn settle(&self) {
        let fetching = self.cache.0.lock().fetching.clone();
        if let Some(fetching) = fetching {
            let _ = fetching.await;
        }
    }
}

#[tokio::test]
async fn a_token_is_fetched_anew_before_its_end_and_nobody_waits() {
    let fixture = fixture(Duration::from_secs(3600), false);
    assert_eq!(fixture.next().await, "token-1");
    fixture.clock.advance(Duration::from_secs(3600 - 241));
    assert_eq!(fixture.next().await, "token-1");
    fixture.settle().await;
    assert_eq!(fixture.fetches(), 1);
    fixture.clock.advance(Duration::from_secs(2));
    assert_eq!(fixture.next().await, "token-1", "the old one is still good");
    fixture.settle().await;
    assert_eq!(fixture.next().await, "token-2");
    // Nobody calls, nothing is fetched.
    fixture.clock.advance(Duration::from_secs(100_000));
    fixture.settle().await;
    assert_eq!(fixture.fetches(), 2);
    assert_eq!(fixture.next().await, "token-3", "the old one has ended");
    assert_eq!(fixture.observed.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_refresh_that_fails_leaves_the_old_token_to_its_end() {
    let fixture = fixture(Duration::from_secs(3600), false);
    assert_eq!(fixture.next().await, "token-1");
    fixture.fail(true);
    fixture.clock.advance(Duration::from_secs(3400));
    for _ in 0..100 {
        assert_eq!(fixture.next().await, "token-1");
        fixture.settle().await;
    }
    assert_eq!(fixture.fetches(), 2, "paced");
    fixture.clock.advance(Duration::from_secs(195));
    assert_eq!(fixture.next().await, "cannot get a token from a test: no");
    fixture.fail(false);
    fixture.clock.advance(Duration::from_secs(30));
    assert_eq!(fixture.next().await, "token-4", "never for ever");
}

#[tokio::test]
async fn a_refused_token_is_better_than_none() {
    let fixture = fixture(Duration::from_secs(3600), false);
    let first = fixture.cache.token().await.unwrap();
    fixture.fail(true);
    fixture.clock.advance(Duration::from_secs(3400));
    assert_eq!(fixture.next().await, "token-1");
    fixture.settle().await;
    fixture.cache.refused(&first);
    assert_eq!(fixture.next().await, "token-1", "within the pause");
    fixture.clock.advance(Duration::from_secs(1));
    assert_eq!(fixture.next().await, "token-1", "after another failure");
    assert_eq!(fixture.fetches(), 3, "which it waited for");
    fixture.fail(false);
    fixture.clock.advance(Duration::from_secs(30));
    assert_eq!(fixture.next().await, "token-4", "not the refused one");

    fixture.cache.refused(&Token::new("token-4").unwrap());
    fixture.fail(true);
    fixture.clock.advance(Duration::from_secs(3600));
    assert_eq!(
        fixture.next().await,
        "cannot get a token from a test: no",
        "its end"
    );
}

#[tokio::test]
async fn a_fetch_is_over_even_if_nobody_can_be_told() {
    let fixture = observed(Duration::from_secs(60), false, |before| {
        assert!(before > 0, "the first one breaks");
    });
    fixture.cache.token().await.unwrap_err();
    assert_eq!(fixture.next().await, "token-1");
    fixture.clock.advance(Duration::from_secs(60));
    assert_eq!(fixture.next().await, "token-2");
}

#[tokio::test]
async fn pauses_double_up_to_the_longest() {
    let fixture = fixture(Duration::from_secs(3600), false);
    fixture.fail(true);
    let mut fetches = 0;
    for pause in [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000] {
        assert_eq!(fixture.next().await, "cannot get a token from a test: no");
        fetches += 1;
        fixture.clock.advance(Duration::from_millis(pause - 1));
        assert_eq!(fixture.next().await, "cannot get a token from a test: no");
        assert_eq!(fixture.fetches(), fetches);
        fixture.clock.advance(Duration::from_millis(1));
    }
}

#[tokio::test]
async fn no_life_is_believed_for_ever() {
    let fixture = fixture(Duration::from_secs(u64::MAX), false);
    assert_eq!(fixture.next().await, "token-1");
    fixture.clock.advance(LONGEST_LIFE);
    assert_eq!(fixture.next().await, "token-2");
}

/// Gives a token whose life begins when it is asked for, once somebody lets it answer; the first one at once.
#[derive(Debug)]
struct Slow {
    life: Duration,
    answers: tokio::sync::Semaphore,
    fetches: AtomicUsize,
    failures: AtomicUsize,
}

impl Credential for Slow {
    fn fetch(&self) -> BoxFuture<'_, Result<FetchedToken, FetchFailed>> {
        let number = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
        Box::pin(async move {
            self.answers.acquire().await.unwrap().forget();
            let fails = self
                .failures
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                    left.checked_sub(1)
                });
            if number > 1 && fails.is_ok() {
                return Err(FetchFailed::Failed("no answer".to_owned()));
            }
            Ok(FetchedToken {
                token: Token::new(&format!("token-{number}")).unwrap(),
                life: self.life,
            })
        })
    }

    fn principal(&self) -> Option<String> {
        None
    }

    fn source(&self) -> String {
        "a test".to_owned()
    }
}

#[tokio::test]
async fn a_token_in_use_never_runs_out_while_one_is_on_its_way() {
    // Seconds: five minutes are the shortest that a metadata server gives out.
    for life in [300, 301, 420, 480, 600, 3600, 12 * 3600] {
        for (takes, failures) in [(1, 3), (12, 1), (30, 1), (60, 1), (120, 0)] {
            let case = format!("life {life}, a fetch takes {takes}, {failures} fail");
            let credential = Arc::new(Slow {
                life: Duration::from_secs(life),
                answers: tokio::sync::Semaphore::new(1),
                fetches: AtomicUsize::new(0),
                failures: AtomicUsize::new(failures),
            });
            let clock = Arc::<ManualClock>::default();
            let (began, read) = (Instant::now(), clock.clone());
            let now =
                Box::new(move || began + Duration::from_millis(read.0.load(Ordering::SeqCst)));
            let timing = FetchTiming {
                fetch_timeout: Duration::from_secs(180),
                min_pause: Duration::from_millis(500),
                max_pause: Duration::from_secs(30),
                refused_pause: Duration::from_secs(10),
            };
            let cache =
                TokenCache::with_clock(credential.clone(), timing, FetchObserver::default(), now);
            cache.token().await.unwrap();
            let mut on_its_way = 0;
            for second in 0..2 * life {
                let token = cache.token().now_or_never();
                assert!(matches!(token, Some(Ok(_))), "{case}: {second}: {token:?}");
                let fetching = cache.0.lock().fetching.clone();
                if let Some(fetching) = fetching {
                    on_its_way += 1;
                    if on_its_way > takes {
                        on_its_way = 0;
                        credential.answers.add_permits(1);
                        let _ = fetching.await;
                    }
                }
                clock.advance(Duration::from_secs(1));
            }
            let fetches = credential.fetches.load(Ordering::SeqCst);
            assert!((2..=6 + failures).contains(&fetches), "{case}: {fetches}");
        }
    }
}

#[tokio::test]
async fn a_short_life_is_used_for_half_of_it_at_least() {
    let fixture = fixture(Duration::from_secs(1), false);
    fixture.clock.advance(Duration::from_millis(499));
    for _ in 0..50 {
        assert_eq!(fixture.next().await, "token-1");
        fixture.settle().await;
    }
    assert_eq!(fixture.fetches(), 1);
    fixture.clock.advance(Duration::from_millis(950));
    assert_eq!(fixture.next().await, "token-2");
}

#[tokio::test]
async fn a_fetch_that_panics_is_a_failure_like_any_other() {
    let fixture = fixture(Duration::from_secs(3600), true);
    let error = fixture.next().await;
    assert!(error.contains("interrupted"), "{error}");
    fixture.clock.advance(Duration::from_millis(500));
    assert_eq!(fixture.next().await, "token-2");
    assert_eq!(fixture.observed.load(Ordering::SeqCst), 2);
}
