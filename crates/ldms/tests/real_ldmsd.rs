//! The client suite on a real ldmsd, whose program the environment variable `LDMSD` names. Without it nothing is
//! tested here: it is for runs by hand. (The same on simulated daemons: `client.rs`.)

mod common;

use common::Site;

macro_rules! on_real_daemons {
    ($($scenario:ident,)*) => {$(
        #[tokio::test]
        async fn $scenario() {
            if let Some(site) = Site::real() {
                common::scenarios::$scenario(&site).await;
            }
        }
    )*};
}

on_real_daemons! {
    both_forms_of_the_handshake_and_the_greeting,
    a_sampler_is_loaded_started_stopped_and_seen_in_the_directory,
    sets_are_collected_over_two_levels,
    a_producer_that_goes_is_lost_and_found_again,
    an_updater_is_deleted_only_when_it_is_stopped_and_idle,
    a_store_takes_what_is_collected,
    an_advertiser_is_taken_by_a_listener,
    many_requests_are_answered_in_order_on_one_connection,
    a_daemon_that_hangs_or_dies_is_noticed_and_disturbs_nobody,
    a_daemon_ends_when_it_is_asked_to,
    naive_peers_are_who_they_say_and_have_their_rights,
    ovis_peers_share_a_secret,
    authentication_domains_serve_producers,
    a_further_port_is_opened_on_request,
    commands_get_the_answers_that_were_recorded,
    a_connection_that_ends_answers_all_that_waits,
}
