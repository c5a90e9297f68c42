//! Which part of the work is this manager's: whether it decides, which daemons it speaks to, which it watches. Pure.

use super::Conductor;

impl Conductor {
    /// Whether this manager decides who carries what, and which daemons it speaks to. A manager that does not lead
    /// carries out the assignment it is given. It watches the daemons it speaks to, and where it leads those of the top
    /// tier as well; of the others it knows what it is told ([`Self::hear`]).
    ///
    /// Says whether anything has changed by it.
    pub fn set_role(&mut self, leading: bool, mut mine: Vec<bool>) -> bool {
        mine.resize(self.tracks.len(), false);
        if self.leading == leading && self.mine == mine {
            return false;
        }
        if self.leading != leading {
            self.assignments.iter_mut().for_each(|assignment| assignment.dirty = true);
        }
        for (daemon, is_mine) in mine.iter().enumerate() {
            if *is_mine && !self.mine[daemon] {
                self.tracks[daemon].busy = false;
                self.dirty.insert(daemon);
                self.untold.insert(daemon);
            }
        }
        self.leading = leading;
        self.mine = mine;
        self.refresh_watched();
        true
    }

    /// Finds out anew which daemons it watches. Of one that it begins to watch, or watches no longer, it has nothing at
    /// first hand.
    pub(super) fn refresh_watched(&mut self) {
        let mut watched = self.mine.clone();
        if self.leading {
            for group in self.desired.top_groups() {
                for member in &self.desired.groups[group].aggregators {
                    watched[member.daemon] = true;
                }
            }
        }
        self.watched.resize(watched.len(), true);
        for (daemon, (now, before)) in watched.iter().zip(&self.watched).enumerate() {
            if now != before {
                let track = &mut self.tracks[daemon];
                track.second_hand = true;
                track.busy = false;
            }
        }
        self.watched = watched;
    }

    /// Whether this manager decides who carries what.
    #[must_use]
    pub fn leads(&self) -> bool {
        self.leading
    }

    /// Whether this manager speaks to a daemon.
    #[must_use]
    pub fn is_mine(&self, daemon: usize) -> bool {
        self.mine[daemon]
    }

    /// Whether this manager itself looks at a daemon.
    #[must_use]
    pub fn watches(&self, daemon: usize) -> bool {
        self.watched[daemon]
    }

    /// Without a majority of the store nobody may change anything.
    pub fn set_hands_off(&mut self, hands_off: bool) {
        if self.hands_off && !hands_off {
            self.dirty = (0..self.tracks.len()).collect();
            self.assignments.iter_mut().for_each(|assignment| assignment.dirty = true);
        }
        self.hands_off = hands_off;
    }

    /// Whether it may change anything.
    #[must_use]
    pub fn is_hands_off(&self) -> bool {
        self.hands_off
    }
}
