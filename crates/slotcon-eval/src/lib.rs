//! What a network learned: cluster matching, segments, reports.
