//! The client suite: every scenario on simulated daemons, and in `real_ldmsd` on a real one whose program the
//! environment variable `LDMSD` names. Without it nothing is tested there: it is for runs by hand, such as
//!
//! ```text
//! LDMSD=/usr/sbin/ldmsd cargo nextest run -p campanile-ldms -E 'test(real)'
//! ```

mod common;

use common::Site;

/// Hands the list of all scenarios to the macro that makes tests of them.
macro_rules! all_scenarios {
    ($make:ident) => {
        $make! {
            scenarios::both_forms_of_the_handshake_and_the_greeting,
            scenarios::a_sampler_is_loaded_started_stopped_and_seen_in_the_directory,
            scenarios::sets_are_collected_over_two_levels,
            scenarios::a_producer_that_goes_is_lost_and_found_again,
            scenarios::an_updater_is_deleted_only_when_it_is_stopped_and_idle,
            scenarios::updates_that_are_left_out_or_find_nothing_new_are_counted,
            scenarios::a_store_takes_what_is_collected,
            scenarios::an_advertiser_is_taken_by_a_listener,
            scenarios::many_requests_are_answered_in_order_on_one_connection,
            scenarios::a_daemon_that_hangs_or_dies_is_noticed_and_disturbs_nobody,
            scenarios::a_daemon_ends_when_it_is_asked_to,
            scenarios::naive_peers_are_who_they_say_and_have_their_rights,
            scenarios::ovis_peers_share_a_secret,
            scenarios::authentication_domains_serve_producers,
            scenarios::a_further_port_is_opened_on_request,
            scenarios::commands_get_the_answers_that_were_recorded,
            scenarios::a_connection_that_ends_answers_all_that_waits,
            raw::other_versions_and_garbage_are_refused,
            raw::bad_records_are_answered_and_the_connection_goes_on,
        }
    };
}

macro_rules! on_simulated_daemons {
    ($($room:ident::$scenario:ident,)*) => {$(
        #[tokio::test]
        async fn $scenario() {
            common::$room::$scenario(&Site::simulated()).await;
        }
    )*};
}

all_scenarios!(on_simulated_daemons);

mod real_ldmsd {
    use super::common::{self, Site};

    macro_rules! on_real_daemons {
        ($($room:ident::$scenario:ident,)*) => {$(
            #[tokio::test]
            async fn $scenario() {
                if let Some(site) = Site::real() {
                    common::$room::$scenario(&site).await;
                }
            }
        )*};
    }

    all_scenarios!(on_real_daemons);

    #[tokio::test]
    async fn a_simulated_aggregator_collects_from_a_real_sampler_and_a_real_one_from_a_simulated() {
        if let Some(site) = Site::real() {
            common::scenarios::both_kinds_collect_from_each_other(&site).await;
        }
    }

    /// Writes the test vectors of `vectors.rs` where `CAMPANILE_RECORD` is set; elsewhere it only has the conversations.
    #[tokio::test]
    async fn conversations_can_be_recorded() {
        if let Some(site) = Site::real() {
            common::scenarios::conversations(&site).await;
        }
    }
}
