//! What the tests share: real peers (crossbar, Python OCS), free ports, processes that end with their test.
