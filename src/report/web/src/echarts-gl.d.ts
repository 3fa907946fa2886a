// echarts-gl ships no types.
declare module "echarts-gl/charts" {
  export const Bar3DChart: never;
}
declare module "echarts-gl/components" {
  export const Grid3DComponent: never;
}
