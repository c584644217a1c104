//! What can happen in the hospital: things that begin by chance, and things that follow from what has begun.

use super::World;
use super::store::RowNumber;
use crate::value::Value;

/// Something that has to happen later to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// An appointment's time has come.
    Visit,
    /// An appointment's reminder is sent.
    Reminder,
    /// A patient in a bed goes home.
    Discharge,
    /// A draft note is finished.
    SignRecord,
    /// A laboratory order has its results.
    LabResults,
    /// A prescription is fetched.
    Dispense,
    /// A claim is decided.
    DecideClaim,
    /// A fraud alert is looked into.
    CloseFraud,
    /// A device alert is answered.
    AnswerAlert,
    /// A review task is taken or finished.
    Review,
    /// A document was read by the machine.
    ReadDocument,
    /// A video call ends.
    HangUp,
    /// Images are reported.
    ReportImages,
    /// A referral is taken up.
    TakeReferral,
    /// A triage session ends.
    CloseTriage,
    /// A message goes out.
    SendMessage,
    /// A patient moves on along a care pathway.
    AdvancePathway,
}

/// How often something begins, against the rest, and what it is.
type Beginning = (u64, fn(&mut World));

/// What begins by chance.
const BEGINNINGS: &[Beginning] = &[
    (140, World::log_in),
    (120, World::book),
    (150, World::read_device),
    (80, World::audit),
    (40, World::check_service),
    (60, World::measure_at_home),
    (50, World::triage),
    (50, World::score_risk),
    (40, World::engage),
    (30, World::receive_document),
    (30, World::change_profile),
    (40, World::change_consent),
    (25, World::order_images),
    (20, World::refer),
    (20, World::enrol),
    (20, World::change_price),
    (20, World::arrive_as_emergency),
    (20, World::review_diagnosis),
    (20, World::cancel),
    (15, World::refill),
    (10, World::renumber_policy),
    (10, World::upgrade_device),
    (10, World::restock),
    (8, World::admit_somebody),
    (25, World::erase_message),
];

impl World {
    /// Something new.
    pub(super) fn begin_something(&mut self) {
        let total = BEGINNINGS.iter().map(|(weight, _)| weight).sum();
        let mut chance = self.dice.below(total);
        for (weight, begin) in BEGINNINGS {
            match chance.checked_sub(*weight) {
                None => return begin(self),
                Some(rest) => chance = rest,
            }
        }
    }

    /// Something that had to happen.
    pub(super) fn follow_up(&mut self, due: Due, row: RowNumber) {
        match due {
            Due::Visit => self.visit(row),
            Due::Reminder => self.remind(row),
            Due::Discharge => self.discharge(row),
            Due::SignRecord => self.sign_record(row),
            Due::LabResults => self.report_laboratory(row),
            Due::Dispense => self.dispense(row),
            Due::DecideClaim => self.decide_claim(row),
            Due::CloseFraud => self.close_fraud(row),
            Due::AnswerAlert => self.answer_alert(row),
            Due::Review => self.review(row),
            Due::ReadDocument => self.read_document(row),
            Due::HangUp => self.hang_up(row),
            Due::ReportImages => self.report_images(row),
            Due::TakeReferral => self.take_referral(row),
            Due::CloseTriage => self.close_triage(row),
            Due::SendMessage => self.send_message(row),
            Due::AdvancePathway => self.advance_pathway(row),
        }
    }

    /// Puts something on the agenda, from..=to minutes from now.
    pub(super) fn later(&mut self, due: Due, row: RowNumber, from_minutes: i64, to_minutes: i64) {
        let at = self.in_minutes(self.dice.between(from_minutes, to_minutes));
        // Half a minute of spread, so that things of one minute do not stand in the order they were begun.
        let at = at.saturating_add(self.dice.between(0, 30_000_000));
        self.agenda.insert((at, due, row));
    }

    /// Now.
    pub(super) fn now(&self) -> Value {
        Value::Micros(self.now_us)
    }
}
