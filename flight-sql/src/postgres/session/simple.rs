//! The simple protocol: a text of statements, each answered in text.

use uuid::Uuid;

use super::Session;
use super::answers::Answer;
use crate::postgres::connection::Wire;
use crate::postgres::copy;
use crate::postgres::encode::Style;
use crate::postgres::rows::{Sending, Stopped, columns};
use crate::postgres::script::Sentence;

impl Session {
    /// Answers the statements of a text up to the first that fails.
    pub(super) async fn query(&mut self, text: &str, wire: &mut Wire) -> Result<(), Stopped> {
        // It takes the place of the nameless statement and portal of the other protocol.
        self.statements.remove("");
        self.portals.remove("");
        let sentences = self.scripts.sentences(text)?;
        if sentences.is_empty() {
            wire.replies.empty_query();
        }
        for sentence in sentences.iter() {
            let before = sentence.before;
            let limit = self.settings.duration("statement_timeout");
            let id = self.service.fresh_id();
            let late = super::late(self.service.clone(), id, limit);
            let done = tokio::select! {
                done = self.sentence(id, sentence, wire) => done,
                () = late => Err(super::timed_out().into()),
            };
            if done.is_err() {
                self.spoil(&sentence.what);
            }
            done.map_err(|stopped| match stopped {
                Stopped::Failed(failure) => Stopped::Failed(failure.behind(before)),
                other => other,
            })?;
        }
        Ok(())
    }

    async fn sentence(&mut self, id: Uuid, sentence: &Sentence, wire: &mut Wire) -> Result<(), Stopped> {
        let style = Style {
            formats: Vec::new(),
            zone: self.settings.zone(),
        };
        match self.answer(id, sentence, None, Vec::new(), wire).await? {
            Answer::Tag(tag) => wire.replies.complete(&tag),
            Answer::Rows(results, tag) => {
                if tag != "MOVE" {
                    wire.replies.columns(&columns(&results.schema), &[]);
                }
                let mut sending = Sending::new(results.batches, style);
                let count = match tag {
                    "MOVE" => sending.skip(&sentence.sql).await?,
                    _ => {
                        sending.send(0, wire, &sentence.sql).await?;
                        sending.sent
                    }
                };
                wire.replies.complete(&super::tagged(tag, count));
            }
            Answer::Copy(results, how) => {
                let count = copy::send(results, &how, style, wire, &sentence.sql).await?;
                wire.replies.complete(&format!("COPY {count}"));
            }
        }
        Ok(())
    }
}
