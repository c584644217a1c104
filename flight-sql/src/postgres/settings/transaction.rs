//! What transactions do to settings: some are for the transaction only, and all are as before when it is undone.

use std::collections::BTreeSet;

use super::Settings;
use crate::postgres::failure::Failure;
use crate::postgres::zone::Zone;

impl Settings {
    /// A transaction begins.
    pub(in crate::postgres) fn begin(&mut self) {
        self.before = Some(self.set.clone());
    }

    /// It ends: what was set for it is as before, and if it is undone everything is. The names of what changed by that.
    pub(in crate::postgres) fn end(&mut self, done: bool) -> Vec<String> {
        let local = std::mem::take(&mut self.local);
        let mut ended = self.set.clone();
        match self.before.take().filter(|_| !done) {
            Some(before) => ended = before,
            None => {
                for (name, value) in local {
                    match value {
                        Some(value) => drop(ended.insert(name, value)),
                        None => drop(ended.remove(&name)),
                    }
                }
            }
        }
        let was = std::mem::replace(&mut self.set, ended);
        let names = was.keys().chain(self.set.keys());
        let changed = names.filter(|name| was.get(*name) != self.set.get(*name)).cloned();
        let changed: BTreeSet<String> = changed.collect();
        self.zone = Zone::named(self.get("TimeZone")).unwrap_or_default();
        changed.into_iter().collect()
    }

    /// Sets it until the transaction ends; its name as it is shown.
    pub(in crate::postgres) fn set_local(&mut self, name: &str, value: &str) -> Result<String, Failure> {
        self.locally(name, |settings| settings.set(name, value))
    }

    /// What it was at the start, until the transaction ends; its name as it is shown.
    pub(in crate::postgres) fn reset_local(&mut self, name: &str) -> Result<String, Failure> {
        self.locally(name, |settings| settings.reset(name))
    }

    fn locally(
        &mut self,
        name: &str,
        change: impl FnOnce(&mut Self) -> Result<String, Failure>,
    ) -> Result<String, Failure> {
        let known = self.name(name);
        let was = known.as_ref().and_then(|shown| {
            let first = self.local.get(shown).cloned();
            first.unwrap_or_else(|| self.set.get(shown).cloned())
        });
        let shown = change(self)?;
        self.local.insert(shown.clone(), was);
        Ok(shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Goal: settings after a transaction are as PostgreSQL has them. Method: one that is set before, in and for a transaction, in each
    // order, and both ends.
    #[test]
    fn transactions_end_what_is_theirs() {
        let zone = "TimeZone";
        type Steps = &'static [(&'static str, &'static str)];
        let cases: [(Steps, &str, &str); 7] = [
            (&[("local", "Asia/Tokyo")], "Europe/Paris", "Europe/Paris"),
            (
                &[("local", "Asia/Tokyo"), ("local", "Asia/Seoul")],
                "Europe/Paris",
                "Europe/Paris",
            ),
            (&[("set", "Asia/Tokyo")], "Asia/Tokyo", "Europe/Paris"),
            (
                &[("set", "Asia/Tokyo"), ("local", "Asia/Seoul")],
                "Asia/Tokyo",
                "Europe/Paris",
            ),
            (
                &[("local", "Asia/Tokyo"), ("set", "Asia/Seoul")],
                "Asia/Seoul",
                "Europe/Paris",
            ),
            (&[("reset", "")], "UTC", "Europe/Paris"),
            (&[("reset local", "")], "Europe/Paris", "Europe/Paris"),
        ];
        for (steps, done, undone) in cases {
            for (done, expected) in [(true, done), (false, undone)] {
                let mut settings = Settings::new("ana", "gold");
                settings.set(zone, "Europe/Paris").expect("a zone");
                settings.begin();
                for (how, value) in steps {
                    match *how {
                        "local" => settings.set_local(zone, value),
                        "set" => settings.set(zone, value),
                        "reset" => settings.reset(zone),
                        _ => settings.reset_local(zone),
                    }
                    .expect("a zone");
                }
                let during = settings.get(zone).to_owned();
                let changed = settings.end(done);
                assert_eq!(settings.get(zone), expected, "{steps:?} {done}");
                let named = Zone::named(expected).expect("a zone");
                assert_eq!(
                    format!("{:?}", settings.zone()),
                    format!("{named:?}"),
                    "{steps:?} {done}"
                );
                let told = if during == expected { &[][..] } else { &[zone] };
                assert_eq!(changed, told, "{steps:?} {done}");
            }
        }
        let mut settings = Settings::new("ana", "gold");
        settings.begin();
        settings.set_local("probe.x", "1").expect("somebody's own");
        assert!(settings.set_local("nonsense", "1").is_err());
        assert_eq!(settings.end(true), ["probe.x"]);
        assert!(settings.show("probe.x").is_err());
    }
}
