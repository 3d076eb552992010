//! The words of a policy, and what the core calls them.

use redirector_common::AllDown;
use redirector_core::{
    locality::Place,
    service::{FailbackMode, Mode, OnBackendLost},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An enum of words, each of which stands for a variant of one of the core's enums.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident is $core:ty { $($word:ident => $value:expr,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum $name {
            $($word,)+
        }

        impl From<$name> for $core {
            fn from(word: $name) -> Self {
                match word {
                    $($name::$word => $value,)+
                }
            }
        }
    };
}

words! {
    /// When a later tier carries load.
    ModeWord is Mode {
        Spill => Mode::Spill,
        Threshold => Mode::Threshold,
        LastResort => Mode::LastResort,
    }
}

words! {
    /// What happens when no backend is usable.
    AllDownWord is AllDown {
        Panic => AllDown::Panic,
        Refuse => AllDown::Refuse,
        PassThrough => AllDown::PassThrough,
    }
}

words! {
    /// What happens to established connections to a backend that is lost.
    LostWord is OnBackendLost {
        Keep => OnBackendLost::Keep,
        Reset => OnBackendLost::Reset,
    }
}

words! {
    /// Who decides about a fail-back.
    FailbackWord is FailbackMode {
        Automatic => FailbackMode::Automatic,
        Manual => FailbackMode::Manual,
    }
}

words! {
    /// What a backend must share with the client's node.
    LocalityWord is Place {
        Node => Place::Node,
        Zone => Place::Zone,
        Region => Place::Region,
        Cluster => Place::Cluster,
    }
}
