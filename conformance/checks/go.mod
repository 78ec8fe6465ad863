// SPDX-License-Identifier: Apache-2.0 OR MIT
// Shared by all lines. It requires nothing itself: the line that builds it says which Talos release it is compiled
// against. The path lies below Talos's own, so Go lets it import Talos's internal packages, unpatched.
module github.com/siderolabs/talos/nanopi-m6/checks

go 1.24.0
