//! A script with what each of its steps must come to.

use std::collections::BTreeMap;

use redirector_tests::script::{Kind, Outcome, RawAddress, Reply, Step};

/// "At once": far less than any timeout of a connect, on a busy machine as well.
const AT_ONCE_US: u64 = 200_000;

/// What a step must come to.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Expected {
    Is(Outcome),
    /// It fails with this error, and nobody had to wait for it.
    FailsAtOnce(i32),
    /// One of these replicas answers, and the answer comes from this address.
    Answer {
        by: Vec<String>,
        source: RawAddress,
    },
}

/// Steps and expectations, in order.
#[derive(Debug, Clone, Default)]
pub struct Dialogue {
    steps: Vec<Step>,
    expected: Vec<Expected>,
    questions: usize,
}

impl Dialogue {
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    pub fn socket(&mut self, kind: Kind) {
        self.push(Step::Socket(kind), Expected::Is(Outcome::Done));
    }

    /// A connect that succeeds; a non-blocking one a little later.
    pub fn connect(&mut self, to: RawAddress, is_blocking: bool) {
        if is_blocking {
            self.push(Step::Connect(to), Expected::Is(Outcome::Done));
        } else {
            self.push(Step::Connect(to.clone()), Expected::FailsAtOnce(libc::EINPROGRESS));
            self.push(Step::Await, Expected::Is(Outcome::Done));
            // The second connect reports the end of the first, and does not connect again.
            self.push(Step::Connect(to), Expected::Is(Outcome::Done));
        }
    }

    pub fn disconnect(&mut self) {
        self.connect(RawAddress::unspecified(), true);
    }

    /// Any step and its outcome.
    pub fn comes_to(&mut self, step: Step, outcome: Outcome) {
        self.push(step, Expected::Is(outcome));
    }

    /// Any step that fails without waiting.
    pub fn fails(&mut self, step: Step, errno: i32) {
        self.push(step, Expected::FailsAtOnce(errno));
    }

    pub fn peer_is(&mut self, peer: RawAddress) {
        self.push(Step::Peer, Expected::Is(Outcome::Shown(peer)));
    }

    pub fn has_no_peer(&mut self) {
        self.fails(Step::Peer, libc::ENOTCONN);
    }

    /// A question that nobody else asks.
    pub fn question(&mut self) -> String {
        self.questions += 1;
        format!("question {}", self.questions)
    }

    pub fn send(&mut self) {
        let question = self.question();
        let sent = Outcome::Sent(question.len());
        self.push(Step::Send(question), Expected::Is(sent));
    }

    pub fn send_to(&mut self, to: RawAddress) {
        let question = self.question();
        let sent = Outcome::Sent(question.len());
        self.push(Step::SendTo(to, 0, question), Expected::Is(sent));
    }

    /// One `sendmmsg`, of which the first `sent` messages are sent.
    pub fn send_many(&mut self, to: &[RawAddress], sent: usize) {
        let all = to.iter().cloned().map(|to| (to, self.question())).collect();
        // What is not sent is not answered.
        self.questions -= to.len() - sent;
        self.push(Step::SendMany(all), Expected::Is(Outcome::Sent(sent)));
    }

    pub fn answer(&mut self, by: &[String], source: RawAddress) {
        self.push(Step::Receive, Expected::Answer { by: by.to_vec(), source });
    }

    fn push(&mut self, step: Step, expected: Expected) {
        self.steps.push(step);
        self.expected.push(expected);
    }

    /// What did not come as expected. Also: every UDP question is answered exactly once, and one
    /// replica answers all that come from one address.
    pub fn faults(&self, replies: &[Reply]) -> Vec<String> {
        let mut faults = Vec::new();
        let mut answered = Vec::new();
        let mut by_source: BTreeMap<String, String> = BTreeMap::new();
        let all = self.steps.iter().zip(&self.expected).zip(replies);
        for (number, ((step, expected), reply)) in (1..).zip(all) {
            if !is_as(expected, reply) {
                faults.push(format!("step {number}, {step:?}: {reply:?}, not {expected:?}"));
            }
            if let Outcome::Received(text, source) = &reply.outcome
                && let Some((name, question)) = text.split_once('\n')
                && !text.starts_with("HTTP")
            {
                answered.push(question.to_owned());
                let source = format!("{source:?}");
                let first = by_source.entry(source.clone()).or_insert_with(|| name.to_owned());
                if *first != name {
                    faults.push(format!("step {number}: {name} answers for {source}, not {first}"));
                }
            }
        }
        answered.sort();
        let mut asked: Vec<_> = (1..=self.questions).map(|n| format!("question {n}")).collect();
        asked.sort();
        if answered != asked {
            faults.push(format!("asked {asked:?}, answered {answered:?}"));
        }
        faults
    }
}

fn is_as(expected: &Expected, reply: &Reply) -> bool {
    match (expected, &reply.outcome) {
        (Expected::Is(expected), outcome) => expected == outcome,
        (Expected::FailsAtOnce(expected), Outcome::Failed(errno)) => {
            expected == errno && reply.took_us < AT_ONCE_US
        }
        (Expected::Answer { by, source }, Outcome::Received(text, from)) => {
            from == source && answerer(text).is_some_and(|name| by.iter().any(|by| by == name))
        }
        _ => false,
    }
}

/// Which replica has written `text`: over TCP a body of HTTP, over UDP its first line.
pub fn answerer(text: &str) -> Option<&str> {
    match text.split_once("\r\n\r\n") {
        Some((_, body)) => body.strip_suffix('\n'),
        None => text.split_once('\n').map(|(name, _)| name),
    }
}
