import Plans
import Testing

@Suite struct RankGridTests {
  @Test func `a rank's group is found by its number`() {
    let grid = RankGrid(
      tensor: 2, context: 1, data: 6, pipeline: 2, expertTensor: 1, expert: 4, expertData: 3)
    for kind in GroupKind.allCases {
      let groups = Array(grid.groups(kind))
      for rank in 0..<grid.ranks {
        #expect(groups[grid.groupIndex(kind, containing: rank)].contains(rank))
      }
    }
  }

  /// Small grids with unlike degrees, so that swapped factors show.
  static let grids = [
    RankGrid(tensor: 1, context: 1, data: 1, pipeline: 1, expertData: 1),
    RankGrid(tensor: 2, context: 3, data: 4, pipeline: 5, expertTensor: 1, expert: 6, expertData: 4),
    RankGrid(tensor: 4, context: 1, data: 6, pipeline: 2, expertTensor: 2, expert: 3, expertData: 4),
    RankGrid(tensor: 1, context: 1, data: 128, pipeline: 16, expertTensor: 1, expert: 64, expertData: 2),
    RankGrid(tensor: 8, context: 2, data: 2, pipeline: 4, expertTensor: 8, expert: 4, expertData: 1),
  ]

  @Test(arguments: grids)
  func `coordinates lead back to their rank in both factorings`(grid: RankGrid) {
    for rank in 0..<grid.ranks {
      let dense = grid.coordinates(of: rank)
      let expert = grid.expertCoordinates(of: rank)
      #expect(grid.rank(of: dense) == rank)
      #expect(grid.rank(of: expert) == rank)
      #expect(dense.pipeline == expert.pipeline)
    }
  }

  @Test(arguments: grids)
  func `every kind of group divides the ranks, each rank once`(grid: RankGrid) {
    for kind in GroupKind.allCases {
      var seen = Array(repeating: 0, count: grid.ranks)
      for group in grid.groups(kind) {
        #expect(group.count == grid.size(of: kind))
        for member in group {
          seen[member] += 1
          #expect(grid.group(kind, containing: member) == group)
        }
      }
      #expect(seen.allSatisfy { $0 == 1 }, "\(kind)")
    }
  }

  @Test(arguments: grids)
  func `members of a group differ in that group's coordinates only`(grid: RankGrid) {
    for rank in 0..<grid.ranks {
      let place = grid.coordinates(of: rank)
      let expertPlace = grid.expertCoordinates(of: rank)
      for (index, member) in grid.group(.tensor, containing: rank).enumerated() {
        var expected = place
        expected.tensor = index
        #expect(grid.coordinates(of: member) == expected)
      }
      for (index, member) in grid.group(.dataContext, containing: rank).enumerated() {
        var expected = place
        (expected.context, expected.data) = (index % grid.context, index / grid.context)
        #expect(grid.coordinates(of: member) == expected)
      }
      for (index, member) in grid.group(.pipeline, containing: rank).enumerated() {
        var expected = place
        expected.pipeline = index
        #expect(grid.coordinates(of: member) == expected)
      }
      for (index, member) in grid.group(.expert, containing: rank).enumerated() {
        var expected = expertPlace
        expected.expert = index
        #expect(grid.expertCoordinates(of: member) == expected)
      }
      for (index, member) in grid.group(.expertData, containing: rank).enumerated() {
        var expected = expertPlace
        expected.expertData = index
        #expect(grid.expertCoordinates(of: member) == expected)
      }
    }
  }

  /// Megatron's documented example: 16 GPUs, tensor 2, pipeline 4.
  @Test func `sixteen ranks are grouped as Megatron documents`() {
    let grid = RankGrid(tensor: 2, context: 1, data: 2, pipeline: 4, expertData: 4)
    func members(_ kind: GroupKind) -> [[Int]] { grid.groups(kind).map { Array($0) } }
    #expect(Array(members(.tensor)[..<3]) == [[0, 1], [2, 3], [4, 5]])
    #expect(Array(members(.data)[..<4]) == [[0, 2], [1, 3], [4, 6], [5, 7]])
    #expect(members(.pipeline) == [[0, 4, 8, 12], [1, 5, 9, 13], [2, 6, 10, 14], [3, 7, 11, 15]])
  }

  @Test func `mirrored groups join the two pipeline ranks of a stage`() {
    let grid = RankGrid(tensor: 1, context: 1, data: 4, pipeline: 4, expert: 2, expertData: 2)
    #expect(Array(grid.mirroredGroup(.dataContext, containing: 1)) == [0, 1, 2, 3, 12, 13, 14, 15])
    #expect(Array(grid.mirroredGroup(.expertData, containing: 9)) == [5, 7, 9, 11])
    for rank in 0..<grid.ranks {
      let group = grid.mirroredGroup(.expertData, containing: rank)
      #expect(group.contains(rank))
      #expect(Set(group).count == 4)
      for member in group { #expect(grid.mirroredGroup(.expertData, containing: member) == group) }
    }
  }

  @Test func `the span of a group counts the nodes it touches`() {
    let grid = RankGrid(tensor: 1, context: 1, data: 128, pipeline: 16, expert: 64, expertData: 2)
    let expert = grid.span(of: grid.group(.expert, containing: 1000), gpusPerNode: 8)
    #expect(expert == GroupSpan(nodes: 8, ranksPerNode: 8))
    let pipeline = grid.span(of: grid.group(.pipeline, containing: 5), gpusPerNode: 8)
    #expect(pipeline == GroupSpan(nodes: 16, ranksPerNode: 1))
    let tensor = RankGrid(tensor: 4, context: 1, data: 4, pipeline: 1, expertData: 16)
    #expect(tensor.span(of: tensor.group(.tensor, containing: 6), gpusPerNode: 8).isWithinNode)
    #expect(
      tensor.span(of: tensor.group(.tensor, containing: 6), gpusPerNode: 6)
        == GroupSpan(nodes: 2, ranksPerNode: 2))
  }
}
