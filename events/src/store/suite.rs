//! The behaviour that every adapter of the [`EventStore`] port has, as one named test per case.
//!
//! An adapter's test file says how a store is opened, and no more:
//!
//! ```text
//! events::event_store_suite!(open);
//!
//! async fn open() -> events::store::suite::Fixture { … }
//! ```
//!
//! Cases use names of their own, begin at the head, and overlook what others append: they may share one server.

use std::{any::Any, sync::Arc, time::Duration};

pub use self::world::World;
use super::EventStore;

pub mod append;
pub mod concurrency;
mod follower;
pub mod head;
pub mod kinds;
pub mod log;
pub mod model;
pub mod reading;
pub mod repeats;
pub mod subscriptions;
pub mod tombstones;
mod world;

/// How long a case may take: a guard against waiting for ever, not a measure.
const GUARD: Duration = Duration::from_secs(120);

/// A store, and what must be kept alive with it, e.g. its directory.
#[derive(Debug)]
pub struct Fixture {
    /// The store.
    pub store: Arc<dyn EventStore>,
    /// What is dropped after it.
    pub keep: Arc<dyn Any + Send + Sync>,
}

impl Fixture {
    /// A store, and what is to be dropped after it.
    pub fn new(store: impl EventStore + 'static, keep: impl Any + Send + Sync) -> Self {
        Self { store: Arc::new(store), keep: Arc::new(keep) }
    }
}

/// Runs a case with a store.
///
/// # Panics
/// When the store does not behave as its port says.
pub async fn run<C: Future<Output = ()>>(fixture: Fixture, case: impl FnOnce(World) -> C) {
    let case = case(World::new(fixture));
    tokio::time::timeout(GUARD, Box::pin(case)).await.expect("the case ends");
}

/// One test for each case. Takes the path of an `async fn() -> Fixture`.
#[macro_export]
macro_rules! event_store_suite {
    ($open:path) => {
        $crate::event_store_suite! { @tests $open;
            append:
                a_stream_that_never_was_takes_an_append_that_expects_no_stream
                a_stream_that_never_was_refuses_an_append_that_expects_a_revision
                a_stream_with_events_refuses_an_append_that_expects_no_stream
                an_append_that_expects_the_last_revision_goes_behind_it
                an_append_that_expects_an_earlier_revision_is_refused
                an_append_that_expects_a_later_revision_is_refused
                a_refused_append_may_be_sent_again_with_the_right_expectation
                the_answer_is_where_the_last_event_stands
                events_of_one_append_get_revisions_and_positions_in_their_order
                positions_rise_from_append_to_append_in_whatever_streams
                streams_of_every_kind_take_appends
                an_append_of_nothing_is_answered_with_nothing
                a_write_without_events_is_refused
                data_that_is_no_text_is_refused_where_text_belongs
                metadata_that_is_no_text_is_refused
                a_type_that_begins_with_a_dollar_is_refused
                a_stream_that_is_named_twice_in_one_append_is_refused
                writes_to_several_streams_are_answered_in_their_order
                a_later_write_that_is_refused_leaves_nothing_of_those_before_it_where_the_store_is_atomic
                a_first_write_that_is_refused_leaves_nothing_of_those_behind_it
                a_tombstoned_stream_among_several_refuses_the_append
                several_streams_are_all_there_once_their_append_is_answered
                one_append_may_have_thousands_of_events
                an_icon_of_the_largest_size_is_kept
                large_events_of_one_append_are_all_kept;
            repeats:
                a_repeat_at_once_is_answered_as_the_first_was
                a_repeat_behind_a_revision_is_answered_as_the_first_was
                a_repeat_is_known_after_more_events
                a_repeat_of_several_events_is_answered_where_the_last_stands
                a_repeat_of_a_part_is_answered_where_the_part_ends
                a_repeat_moves_nothing_in_the_log
                a_repeat_with_other_bytes_changes_none
                events_of_which_the_first_stands_and_the_next_is_new_are_no_repeat
                events_of_which_the_next_is_another_than_stands_are_no_repeat
                events_of_which_the_first_is_another_than_stands_are_no_repeat
                the_same_ids_in_another_order_are_no_repeat
                the_same_ids_with_one_left_out_are_no_repeat
                the_same_ids_under_an_earlier_expectation_are_no_repeat
                the_same_ids_under_a_later_expectation_are_no_repeat
                the_same_ids_beyond_the_end_are_no_repeat
                other_ids_with_the_same_bytes_are_no_repeat
                the_same_id_in_another_stream_is_another_event
                a_repeat_of_several_streams_is_answered_as_the_first_was
                a_repeat_of_some_streams_does_the_rest
                a_repeat_beside_a_write_that_is_refused_is_refused_with_it
                a_repeat_after_a_tombstone_is_refused
                repeats_at_the_same_time_are_all_answered_alike
                a_repeat_of_the_event_that_a_last_only_stream_keeps_is_known
                a_repeat_of_several_events_is_known_while_a_last_only_stream_keeps_the_last
                an_event_that_a_last_only_stream_has_forgotten_is_no_repeat
                the_last_event_of_a_last_only_stream_with_a_new_one_is_no_repeat;
            tombstones:
                a_tombstone_removes_streams_of_every_kind
                a_tombstoned_stream_is_told_from_one_that_never_was_however_it_is_read
                a_stream_that_never_was_can_be_tombstoned
                a_second_tombstone_is_answered_as_the_first_was
                a_tombstone_stands_behind_everything_before_it
                a_tombstoned_stream_takes_no_append_whatever_it_expects
                the_events_of_a_tombstoned_stream_are_gone_from_the_log
                a_tombstone_changes_no_position_of_the_rest
                a_later_subscriber_sees_nothing_of_a_tombstoned_stream
                a_subscriber_passes_a_tombstone_by_a_checkpoint
                a_tombstone_and_an_append_may_be_one_append
                a_tombstone_behind_a_write_that_is_refused_is_not_done
                a_tombstone_before_a_write_that_is_refused_is_not_done_where_the_store_is_atomic
                several_streams_may_be_tombstoned_by_one_append;
            kinds:
                a_last_only_stream_keeps_the_last_event_of_several_appends
                a_last_only_stream_keeps_the_last_event_of_one_append
                revisions_of_a_last_only_stream_go_on
                a_last_only_stream_refuses_every_expectation_but_its_last_revision
                the_last_event_is_read_forwards_from_any_revision_up_to_its_own
                the_last_event_is_read_backwards
                the_log_holds_the_last_event_of_a_last_only_stream_where_it_was_appended
                a_later_subscriber_sees_the_last_event_of_a_last_only_stream
                a_subscriber_sees_the_last_event_of_a_last_only_stream_as_it_comes
                a_last_only_stream_may_be_written_together_with_another
                a_refused_append_leaves_the_event_that_a_last_only_stream_keeps
                streams_of_other_kinds_keep_every_event;
            reading:
                a_stream_that_never_was_has_no_events
                a_stream_is_read_forwards_from_a_revision_on
                nothing_is_read_forwards_from_beyond_the_end
                a_stream_is_read_backwards_from_its_end
                no_more_is_read_than_was_asked_for
                a_long_stream_is_read_whole_in_both_directions
                as_much_of_a_long_stream_is_read_as_was_asked_for
                json_text_is_kept_byte_for_byte
                icon_bytes_are_kept_whatever_they_are
                metadata_is_kept_byte_for_byte
                metadata_that_another_release_wrote_is_kept_byte_for_byte
                times_are_kept_to_the_millisecond
                a_chain_can_be_checked_as_it_is_read
                tenants_whose_names_are_alike_do_not_meet
                one_uuid_under_several_kinds_is_several_streams
                names_that_begin_alike_are_several_streams
                the_longest_names_are_kept_whole
                a_stream_is_found_by_its_name_as_it_was_read;
            log:
                the_log_is_read_in_the_order_of_the_appends
                the_log_is_read_by_pages_of_any_size
                only_the_kinds_asked_for_are_answered
                a_page_goes_on_over_events_of_no_interest
                no_kinds_answer_no_events_and_go_on
                a_page_has_no_more_events_than_were_asked_for
                a_page_begins_after_the_position_that_it_is_asked_for
                the_last_page_says_so_and_the_next_begins_behind_it
                a_page_that_is_not_the_last_does_not_say_that_it_is
                the_writes_of_one_append_stand_in_the_log_in_their_order
                the_log_holds_nothing_of_a_refused_append
                the_log_shows_nothing_of_the_stores_own
                a_log_of_several_pages_is_read_whole
                stream_and_log_show_the_same_events;
            subscriptions:
                a_subscription_delivers_what_is_there_then_says_so_then_what_comes
                a_subscription_after_the_head_has_caught_up_at_once
                a_subscription_says_once_that_it_has_caught_up
                live_events_come_in_the_order_of_the_appends
                a_subscription_begins_after_its_position
                a_subscription_that_resumes_where_another_ended_misses_and_repeats_nothing
                a_subscription_delivers_the_kinds_asked_for_only
                a_checkpoint_passes_events_of_no_interest_that_were_there
                a_checkpoint_passes_events_of_no_interest_as_they_come
                a_subscription_to_no_kinds_tells_checkpoints
                a_checkpoint_is_where_another_subscription_may_resume
                two_subscriptions_see_the_same
                a_dropped_subscription_leaves_the_others_as_they_were
                dropping_the_future_of_the_next_message_loses_nothing
                nothing_is_lost_or_doubled_while_many_write
                subscriptions_that_begin_while_others_write_miss_nothing
                a_subscription_far_behind_catches_up
                a_subscription_delivers_what_reading_answers;
            head:
                the_head_is_at_an_append_when_it_is_answered
                the_head_is_at_the_last_of_several_writes
                the_head_moves_on_a_tombstone
                the_head_is_no_further_than_the_log
                who_waits_for_the_head_is_woken_by_an_append
                everything_up_to_the_head_can_be_read_whenever_it_is_asked
                what_can_be_read_of_the_log_is_no_further_than_its_head
                a_store_that_took_an_append_is_well
                a_store_that_refused_an_append_is_well;
            concurrency:
                of_many_appends_that_expect_no_stream_exactly_one_wins
                of_many_appends_that_expect_the_same_revision_exactly_one_wins
                of_many_appends_of_several_streams_that_share_one_exactly_one_wins
                appends_to_many_streams_at_once_are_all_there
                positions_of_appends_at_once_are_each_given_once
                contenders_that_read_and_try_again_all_get_through
                an_append_whose_caller_goes_away_is_done_whole_or_not_at_all
                who_reads_a_stream_while_it_grows_sees_how_it_began
                a_last_only_stream_is_never_seen_empty_while_it_is_written
                a_stream_that_is_being_tombstoned_is_seen_whole_or_tombstoned
                nothing_gets_into_a_stream_once_it_is_tombstoned;
            model:
                random_histories_come_to_what_a_model_says;
        }
    };
    (@tests $open:path; $($module:ident: $($case:ident)+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                $crate::store::suite::run($open().await, $crate::store::suite::$module::$case).await;
            }
        )+)+
    };
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_case_is_in_the_list() {
        let list = include_str!("suite.rs");
        let sources = [
            include_str!("suite/append.rs"),
            include_str!("suite/concurrency.rs"),
            include_str!("suite/head.rs"),
            include_str!("suite/kinds.rs"),
            include_str!("suite/log.rs"),
            include_str!("suite/model.rs"),
            include_str!("suite/reading.rs"),
            include_str!("suite/repeats.rs"),
            include_str!("suite/subscriptions.rs"),
            include_str!("suite/tombstones.rs"),
        ];
        for case in sources.iter().flat_map(|source| source.split("\npub async fn ").skip(1)) {
            let name = case.split('(').next().expect("a function has a name");
            assert!(list.lines().any(|line| line.trim().trim_end_matches(';') == name), "{name} is not in the list");
        }
    }
}
