//! What every view store must do (`projector::store`, *Contract*), held against each adapter.

use projector::store::memory::MemoryViews;

#[path = "suite/cases.rs"]
mod cases;
#[path = "given/facts.rs"]
mod facts;
#[path = "given/history.rs"]
mod history;

/// Runs every case against a store that a function makes anew.
macro_rules! suite {
    ($adapter:ident, $make:expr) => {
        suite!($adapter, $make;
            a_batch_takes_effect_as_a_whole,
            a_batch_that_continues_from_elsewhere_is_refused_and_changes_nothing,
            a_batch_takes_effect_once,
            a_snapshot_stays_as_it_was_while_others_are_written,
            an_empty_batch_moves_the_checkpoint_and_no_tenant,
            a_tenant_that_was_never_seen_is_empty_at_0_00000000,
            a_tenant_is_named_after_the_last_event_that_changed_it,
            a_deletion_removes_the_document_and_what_finds_it,
            the_checkpoint_moves_after_the_snapshots,
            each_of_many_tenants_has_its_own_documents,
            of_writers_that_race_from_one_checkpoint_one_wins,
        );
    };
    ($adapter:ident, $make:expr; $($case:ident,)*) => {
        mod $adapter {
            use super::{cases, MemoryViews};

            $(
                #[test]
                fn $case() {
                    cases::$case(&$make);
                }
            )*
        }
    };
}

suite!(memory, MemoryViews::default());
