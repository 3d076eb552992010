//! What a service wants that the kernel does not have, and why.

use std::fmt;

#[cfg(feature = "serde")]
use serde::{Deserialize, Serialize};

/// Why what the sources say of a service is not in the kernel.
#[derive(Clone, Debug, Default, PartialEq)]
#[cfg_attr(feature = "serde", derive(Serialize, Deserialize), serde(rename_all = "camelCase"))]
pub struct NotInstalled {
    /// `namespace/name`, with `:port` where that has a name.
    pub service: String,
    /// What is in the way.
    pub why: String,
    /// The sources' newest version of it is not possible. Else it is, and what the kernel lacks.
    pub is_refused: bool,
    /// For how many seconds that has been so; `None` is not known.
    pub seconds: Option<f64>,
    /// An earlier version of it is in the kernel, and in force. Else nothing of it is: its addresses
    /// are not redirected.
    pub has_earlier: bool,
}

impl NotInstalled {
    /// The line before an explanation of the service.
    #[must_use]
    pub fn heading(&self) -> String {
        // Of a refused version nothing is explained, but the last good one.
        let wanted = if self.is_refused { "" } else { "; what follows is what is wanted" };
        format!("{self}{wanted}")
    }
}

impl fmt::Display for NotInstalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { service: _, why, is_refused, seconds, has_earlier } = self;
        f.write_str("NOT INSTALLED")?;
        if let Some(seconds) = seconds {
            write!(f, " for {seconds:.0} s")?;
        }
        let refused = if *is_refused { "it is refused: " } else { "" };
        let instead = if *has_earlier {
            "an earlier version stays in force"
        } else {
            "its addresses are not redirected"
        };
        write!(f, ": {refused}{why}; {instead}")
    }
}
