//! A function that fails as often as it is told, in whichever process it runs.

use std::io;
use std::path::{Path, PathBuf};

use datafusion::arrow::datatypes::DataType;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility};

/// The folder, in that of the test, whose files are faults that have not happened yet.
pub(crate) const FAULTS: &str = "faults";

/// How a task fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// As when a file cannot be read, which may work the next time.
    Read,
    /// As a mistake in the program does.
    Panic,
}

impl Failure {
    fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Panic => "panic",
        }
    }

    #[expect(clippy::panic, reason = "a panic is what is simulated")]
    fn fail(self) -> Result<ColumnarValue> {
        match self {
            Self::Read => Err(DataFusionError::IoError(io::Error::other("a fault of the test"))),
            Self::Panic => panic!("a fault of the test"),
        }
    }
}

/// From now on so many calls of `failing` fail. Each is one file, which the call that fails takes away.
pub(crate) fn let_fail(home: &Path, failure: Failure, calls: usize) {
    let folder = home.join(FAULTS);
    std::fs::create_dir_all(&folder).expect("a folder");
    for call in 0..calls {
        std::fs::write(folder.join(format!("{}-{call}", failure.name())), "").expect("a fault");
    }
}

/// Faults that have not happened. Afterwards there are none.
pub(crate) fn take_back(home: &Path) -> usize {
    let faults = std::fs::read_dir(home.join(FAULTS)).into_iter().flatten();
    faults
        .filter(|fault| std::fs::remove_file(fault.as_ref().expect("readable").path()).is_ok())
        .count()
}

/// `failing(value)` returns its value, or takes a fault of this folder and fails.
pub(crate) fn failing(folder: PathBuf) -> ScalarUDF {
    // Volatile, else the optimizer may evaluate it elsewhere or only once.
    ScalarUDF::from(Failing {
        folder,
        signature: Signature::exact(vec![DataType::Int64], Volatility::Volatile),
    })
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Failing {
    folder: PathBuf,
    signature: Signature,
}

impl ScalarUDFImpl for Failing {
    fn name(&self) -> &str {
        "failing"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        for failure in [Failure::Read, Failure::Panic] {
            let faults = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
            let own = faults.filter(|fault| fault.file_name().to_string_lossy().starts_with(failure.name()));
            // Who takes a file away has it alone, whatever other processes do.
            if own.into_iter().any(|fault| std::fs::remove_file(fault.path()).is_ok()) {
                return failure.fail();
            }
        }
        Ok(args.args[0].clone())
    }
}
