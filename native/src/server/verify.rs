//! The shard's part in finding out who a client is: the question goes to the authenticator, and the
//! answer, at once or later, to the engine. Waits for nothing; what was read of a password is wiped.

use super::shard::Shard;
use crate::auth::Answer;
use halyard_core::auth::Question;
use halyard_core::auth::Verdict;
use halyard_core::engine::AuthRequest;
use halyard_core::engine::Input;
use halyard_core::time::Instant;

impl Shard {
    /// Has questions of the engine answered.
    pub(super) fn verify(&mut self, now: Instant, questions: Vec<AuthRequest>) {
        if !questions.is_empty() {
            self.arena.wipe();
        }
        for question in questions {
            let (conn, request) = (question.conn, question.request);
            if let Some(verdict) = self.verdict(now, question) {
                self.learned(now, Answer { conn, request, verdict });
            }
        }
    }

    /// The answer, if there is one at once. A step of SCRAM is cheap: it needs no other thread.
    fn verdict(&mut self, now: Instant, request: AuthRequest) -> Option<Verdict> {
        match &request.question {
            Question::Password(_) => self.auth.ask(request, now, &self.reply),
            Question::Begin { method, data } => {
                let (exchange, verdict) = self.auth.begin(&request, method, data, now);
                self.table.get(request.conn)?;
                self.table.set_exchange(request.conn, exchange);
                Some(verdict)
            }
            Question::Continue { data } => {
                self.table.get(request.conn)?;
                let exchange = self.table.take_exchange(request.conn);
                Some(self.auth.end(exchange, &request, data, now))
            }
        }
    }

    /// Hands an answer to the engine.
    pub(super) fn learned(&mut self, now: Instant, answer: Answer) {
        let Answer { conn, request, verdict } = answer;
        let input = Input::Authenticated { conn, request, verdict };
        self.engine.handle(now, input, &mut self.effects);
    }
}
