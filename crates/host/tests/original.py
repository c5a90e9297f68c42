"""Walks the state machine of the original HostManager through histories, and reports where it comes to rest.

Usage: original.py FILE

Each line of FILE is a history: a JSON list of inputs. For each history one line is printed: a JSON list with the
state at rest after each input. Inputs:

  ["target", "up"|"down"]   an operator asks for it
  ["exit"]                  the process, if it runs, ends by itself
  ["tick", milliseconds]    time passes
  ["launches", bool]        from now on a launched process lives on, or is gone at once
  ["heeds", bool]           from now on processes heed SIGINT, or not
  ["operable", bool]        whether the instance can be manipulated
  ["docker"]                first of all: it is a docker service of the site config
  ["passive"]               first of all: it is a docker service that is in no site config
  ["appears"]               somebody starts the container by hand

Time is simulated: the module's clock is replaced by one that only "tick" moves.
"""

import json
import sys

from ocs.agents.host_manager import drivers

MAX_STEPS = 50


class Clock:
    """Stands in for the module `time`."""

    def __init__(self):
        self.now = 1e9

    def time(self):
        return self.now


class Process:
    """Stands in for the process helper of a launched agent."""

    def __init__(self, lives):
        self.is_running = lives
        self.killed = False
        self.status = (None, None)


class Container:
    """Stands in for the helper of a docker service."""

    def __init__(self):
        self.is_running = False
        self.killed = False
        self.status = (None, None)


class World:
    def __init__(self):
        self.clock = drivers.time = Clock()
        self.instance = drivers.ManagedInstance(
            management="host", agent_class="Agent", instance_id="x", full_name="Agent:x", operable=True)
        self.launches = 0
        self.terminations = 0
        self.launches_live = True
        self.heeds = True
        self.docker = False

    def happens(self, event):
        what, value = event[0], event[-1]
        process = self.instance.prot
        if what == "target":
            self.instance.target_state = value
        elif what == "exit":
            if process is not None:
                process.is_running = False
        elif what == "tick":
            self.clock.now += value / 1000
        elif what == "launches":
            self.launches_live = value
        elif what == "heeds":
            self.heeds = value
        elif what == "operable":
            # As the agent does it when a service comes into sight: it has a new helper, and what runs is up.
            if self.docker and value and not self.instance.operable:
                process.killed = False
                if process.is_running:
                    self.instance.next_action = "up"
            self.instance.operable = value
        elif what in ("docker", "passive"):
            self.docker = True
            self.instance.management = "docker"
            self.instance.prot = Container()
            if what == "passive":
                self.instance.passive_tracking = True
                self.instance.target_state = "passive"
        elif what == "appears":
            process.is_running = True
        else:
            raise ValueError(event)
        return self.rest()

    def rest(self):
        refused = False
        for _ in range(MAX_STEPS):
            if self.docker and not self.instance.prot.is_running:
                self.instance.prot.killed = False
            before = (self.instance.next_action, self.instance.at)
            actions = drivers.resolve_child_state(self.instance)
            refused = refused or any("refused to die" in text for text in actions["messages"])
            if actions["terminate"]:
                self.terminate()
            if actions["launch"]:
                self.launches += 1
                if self.docker:
                    self.instance.prot.is_running = self.launches_live
                else:
                    self.instance.prot = Process(self.launches_live)
            at_rest = before == (self.instance.next_action, self.instance.at)
            if at_rest and not actions["terminate"] and not actions["launch"]:
                break
        else:
            raise RuntimeError("does not come to rest")
        instance = self.instance
        try:
            instance.fail_times, stability = drivers.stability_factor(instance.fail_times)
        except ZeroDivisionError:
            # Only a clock that stands still can show it a failure without any age.
            stability = 0.0
        return {
            "target": instance.target_state, "next": instance.next_action, "stability": stability,
            "launches": self.launches, "terminations": self.terminations, "refused": refused,
        }

    def terminate(self):
        """As the agent does it: one signal in the life of a process, no more."""
        process = self.instance.prot
        if process is None or process.killed:
            return
        process.killed = True
        self.terminations += 1
        if self.heeds:
            process.is_running = False


def main():
    with open(sys.argv[1], encoding="ascii") as histories:
        for line in histories:
            world = World()
            print(json.dumps([world.happens(event) for event in json.loads(line)]))


main()
