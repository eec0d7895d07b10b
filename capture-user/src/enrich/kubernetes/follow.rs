//! One kind of objects, followed to the end of the capture: a list, then a watch from the list's
//! version on, again and again from where the last one broke off; a new list where that is too long ago.
//!
//! Invariant: whatever the server does, this neither ends nor hurries: after a failure it pauses, longer
//! each time, and at a random moment, so that many machines do not come back together.

use super::Shared;
use super::client::{Answer, ClientError};
use super::object::{Document, Object, WatchLine};
use super::pause::Pause;
use super::resources::{Resource, Which, escaped};
use capture_engine::state::k8s::Kind;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Objects of a page.
const PAGE: usize = 500;
/// How long a watch is asked to last, in seconds, and how long after that it is held for dead.
const WATCH_S: u64 = 290;
const WATCH_GRACE: Duration = Duration::from_secs(30);
/// A watch that lasted so long was none that failed.
const WATCH_GOOD: Duration = Duration::from_secs(5);
/// How long a kind that is not there is not asked for again.
const ABSENT_PAUSE: Duration = Duration::from_secs(300);
/// Longest pause that a server may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// Watches that end at once before a new list is tried instead.
const BROKEN_MAX: u32 = 4;

/// Why a list or a watch failed.
#[derive(Debug, thiserror::Error)]
enum FollowError {
    #[error("{0}")]
    Client(#[from] ClientError),
    /// An answer that is no success.
    #[error("HTTP status {status}: {message}")]
    Status { status: u16, message: String, retry_after: Option<Duration> },
    /// The version is not kept any more.
    #[error("the version is too old")]
    Expired { next: Box<str> },
    #[error("{0}")]
    NotJson(#[from] super::object::NotJson),
}

/// How a watch ended.
enum Watched {
    /// In order, or by a broken connection: it can go on from the last version.
    Over { is_broken: bool },
    /// The version is not kept any more.
    Expired,
}

/// One kind.
pub(super) struct Follower {
    shared: Arc<Shared>,
    resource: &'static Resource,
    /// Subscribed for as long as this follows: a node that becomes known at any moment is noticed.
    node: watch::Receiver<Option<String>>,
    /// Index of the path that the server knows.
    path: usize,
    page: usize,
    /// What field selector is used, as it stands in a URL.
    selector: String,
    is_selecting: bool,
    /// The first list was the server's own, which may be an old one; later ones are not.
    was_listed: bool,
    was_watched: bool,
    /// The pause after the next watch that fails.
    pause: Pause,
    /// The pause after the next refusal.
    refused: Pause,
}

impl Follower {
    pub(super) fn new(shared: Arc<Shared>, resource: &'static Resource) -> Follower {
        Follower {
            node: shared.node.subscribe(),
            shared,
            resource,
            path: 0,
            page: PAGE,
            selector: String::new(),
            is_selecting: true,
            was_listed: false,
            was_watched: false,
            pause: Pause::default(),
            refused: Pause::of_refused(),
        }
    }

    /// Follows until it is dropped.
    pub(super) async fn run(mut self) {
        let mut pause = Pause::default();
        loop {
            let wanted = self.resource.selector(self.node.borrow_and_update().as_deref());
            self.selector = wanted.filter(|_| self.is_selecting).unwrap_or_default();
            let listed = self.list().await;
            let error = match listed {
                Ok(version) => {
                    self.was_listed = true;
                    self.shared.is_reached();
                    self.shared.is_settled(self.resource.kind);
                    pause = Pause::default();
                    self.watch_on(version).await;
                    continue;
                }
                Err(error) => error,
            };
            self.failed(&error, &mut pause).await;
        }
    }

    /// Says what there is to say about a failed list, and pauses.
    async fn failed(&mut self, error: &FollowError, pause: &mut Pause) {
        let name = self.resource.name;
        match error {
            FollowError::Client(ClientError::TooLong) if self.page > 1 => {
                // Large objects: fewer at a time.
                self.page = (self.page / 4).max(1);
                return;
            }
            FollowError::Client(error) if error.is_unreachable() => self.shared.is_unreachable(error),
            FollowError::Status { status: 404, .. } => {
                self.shared.is_reached();
                // An older or newer server, or one without this kind.
                self.path = (self.path + 1) % self.resource.paths.len();
                if self.path != 0 {
                    return;
                }
                self.shared.is_settled(self.resource.kind);
                return Pause::about(ABSENT_PAUSE).await;
            }
            FollowError::Status { status: 400, .. } if !self.selector.is_empty() => {
                self.is_selecting = false;
                self.shared.say(format!("{name} cannot be chosen by node: all of the cluster are kept"));
                return;
            }
            FollowError::Status { status: 403, .. } => {
                self.shared.is_reached();
                self.shared.is_settled(self.resource.kind);
                // A server that begins anew refuses what it allowed before, until it knows the rights.
                if !self.was_listed || self.refused.is_long() {
                    self.shared.say(format!("no right to list {name}: what depends on them stays unknown"));
                }
                return self.refused.next(None).await;
            }
            FollowError::Status { status: 401, message, .. } => {
                self.shared.is_unauthorized(message);
                self.shared.is_settled(self.resource.kind);
            }
            error => {
                self.shared.say(format!("{name}: {error}; trying again"));
                self.shared.is_settled(self.resource.kind);
            }
        }
        let asked = match error {
            FollowError::Status { retry_after, .. } => *retry_after,
            _ => None,
        };
        pause.next(asked.map(|asked| asked.min(RETRY_AFTER_MAX))).await;
    }

    fn target(&self, query: &str) -> String {
        let path = self.resource.paths[self.path];
        format!("{path}?{query}{}", self.selector)
    }

    async fn ask(&self, query: &str, accept: &'static str) -> Result<Answer, FollowError> {
        let answer = self.shared.client.get(&self.target(query), accept).await?;
        if answer.status == 200 {
            return Ok(answer);
        }
        let (status, retry_after) = (answer.status, answer.retry_after);
        // The reason is a courtesy of the server.
        let body = answer.whole().await.unwrap_or_default();
        let said = Document::read(&body).unwrap_or_default();
        if status == 410 {
            return Err(FollowError::Expired { next: said.next });
        }
        Err(FollowError::Status { status, message: said.message.into(), retry_after })
    }

    /// Lists all objects, page by page; the version that the list is of.
    async fn list(&mut self) -> Result<Box<str>, FollowError> {
        let mut round = self.shared.cluster.objects().begin_list();
        let mut next: Box<str> = Box::default();
        let mut has_expired = false;
        loop {
            let mut query = format!("limit={}", self.page);
            if !next.is_empty() {
                query = format!("{query}&continue={}", escaped(&next));
            } else if self.resource.which != Which::All && !self.selector.is_empty() && !self.was_listed {
                // Few objects that the server has at hand: it need not ask its store for them.
                query.push_str("&resourceVersion=0");
            }
            let page = match self.ask(&query, self.resource.accept[0]).await {
                Ok(answer) => Document::read(&answer.whole().await?)?,
                Err(FollowError::Expired { next: rest }) if !has_expired || !rest.is_empty() => {
                    // From the start once; if that takes too long again, the rest as it is now.
                    next = if has_expired { rest } else { Box::default() };
                    if next.is_empty() {
                        round = self.shared.cluster.objects().begin_list();
                    }
                    has_expired = true;
                    continue;
                }
                Err(error) => return Err(error),
            };
            self.take(page.items, round);
            if page.items_cut > 0 {
                self.shared
                    .say(format!("{}: {} are too many for one answer", self.resource.name, page.items_cut));
            }
            if page.next.is_empty() {
                self.shared.cluster.objects().end_list(self.resource.kind, round);
                self.shared.changed();
                return Ok(page.version);
            }
            next = page.next;
        }
    }

    fn take(&self, items: Vec<(Option<Kind>, Object)>, round: u64) {
        let mut objects = self.shared.cluster.objects();
        for (_, object) in items {
            objects.put(self.resource.kind, object, round);
        }
        let refused = objects.refused();
        drop(objects);
        if refused > 0 {
            self.shared.say(
                "more objects than memory is given for: some pods stay without what is around them".into(),
            );
        }
        self.shared.changed();
    }

    /// Watches from a version on, until a new list is due.
    async fn watch_on(&mut self, mut version: Box<str>) {
        let mut broken = 0;
        loop {
            let wanted = self.resource.selector(self.node.borrow().as_deref()).unwrap_or_default();
            if self.is_selecting && wanted != self.selector {
                // The node became known: its pods are enough.
                return;
            }
            let begun = Instant::now();
            let watched = self.watch(&mut version).await;
            let lasted = begun.elapsed() >= WATCH_GOOD;
            if lasted {
                (self.pause, broken) = (Pause::default(), 0);
            }
            match watched {
                Ok(Watched::Over { is_broken: false }) if lasted => {}
                Ok(Watched::Over { is_broken }) => {
                    broken += 1;
                    if broken >= BROKEN_MAX && !self.shared.said.is_down() {
                        return;
                    }
                    if is_broken || broken > 1 {
                        self.pause.next(None).await;
                    }
                }
                Ok(Watched::Expired) | Err(FollowError::Expired { .. }) => {
                    return self.pause.next(None).await;
                }
                Err(FollowError::Client(error)) => {
                    self.shared.is_unreachable(&error);
                    self.pause.next(None).await;
                }
                Err(FollowError::Status { status: 403, .. }) => {
                    let name = self.resource.name;
                    if !self.was_watched || self.refused.is_long() {
                        self.shared.say(format!(
                            "no right to watch {name}: changes are seen every few minutes only"
                        ));
                    }
                    return self.refused.next(None).await;
                }
                // The list says what is wrong.
                Err(_) => return self.pause.next(None).await,
            }
        }
    }

    /// One watch; `version` is kept up.
    async fn watch(&mut self, version: &mut Box<str>) -> Result<Watched, FollowError> {
        let query = format!(
            "watch=1&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={WATCH_S}",
            escaped(version)
        );
        let answer = self.ask(&query, self.resource.accept[1]).await?;
        self.shared.is_reached();
        (self.was_watched, self.refused) = (true, Pause::of_refused());
        let mut lines = answer.lines();
        let until = tokio::time::Instant::now() + Duration::from_secs(WATCH_S) + WATCH_GRACE;
        let depends_on_node = self.resource.which != Which::All && self.is_selecting;
        loop {
            let line = tokio::select! {
                line = tokio::time::timeout_at(until, lines.next()) => line,
                _ = self.node.changed(), if depends_on_node => return Ok(Watched::Over { is_broken: false }),
            };
            let line = match line {
                Ok(Ok(Some(line))) => line,
                Ok(Ok(None)) => return Ok(Watched::Over { is_broken: false }),
                Ok(Err(_)) | Err(_) => return Ok(Watched::Over { is_broken: true }),
            };
            let Ok(line) = WatchLine::read(&line) else {
                self.shared.say(format!("{}: damaged lines in a watch are left out", self.resource.name));
                continue;
            };
            let Document { object, version: of_line, code, .. } = line.document;
            match &*line.kind {
                "ADDED" | "MODIFIED" => self.take(vec![(None, object)], 0),
                "DELETED" => {
                    let mut objects = self.shared.cluster.objects();
                    objects.remove(self.resource.kind, &object.namespace, &object.name);
                    drop(objects);
                    self.shared.changed();
                }
                "BOOKMARK" => {}
                "ERROR" if code == 410 => return Ok(Watched::Expired),
                _ => return Ok(Watched::Over { is_broken: true }),
            }
            if !of_line.is_empty() {
                *version = of_line;
            }
        }
    }
}
