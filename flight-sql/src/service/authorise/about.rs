//! What a command was judged by, which it is carried out on.
//!
//! A command is judged by what bears its name, and planning what it reads may take seconds. Another table may bear the name by then, of which
//! its user may do less.

use tidewater_engine::sql::Existing;
use tidewater_engine::{BulkLoad, Command, Engine, IfExists};
use tidewater_table::Meant;

/// What a command that goes on was judged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::service) enum About {
    /// Nothing that bears a name: no grant binds, those on a schema or the warehouse decide, or what is there is left alone.
    Anything,
    /// The table or view that bore a name.
    Meant(Meant),
    /// That nothing was there to make way for what it makes: what is there by now is somebody else's.
    New,
}

impl About {
    /// The engine for a command, which from now on does nothing to anything else.
    pub(in crate::service) fn bind(self, engine: &Engine, command: &mut Command) -> Engine {
        if self == Self::New {
            match command {
                Command::CreateTable(create) => create.existing = Existing::Refuse,
                Command::CreateView(create) => create.existing = Existing::Refuse,
                _ => {}
            }
        }
        self.engine(engine)
    }

    /// The same for rows that a client brings.
    pub(in crate::service) fn bind_load(self, engine: &Engine, load: &mut BulkLoad) -> Engine {
        if self == Self::New {
            load.if_exists = IfExists::Fail;
        }
        self.engine(engine)
    }

    fn engine(self, engine: &Engine) -> Engine {
        match self {
            Self::Meant(meant) => engine.bound(meant),
            Self::Anything | Self::New => engine.clone(),
        }
    }
}
