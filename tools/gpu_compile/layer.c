// A Vulkan layer that writes what the compiler says of each compute pipeline (VK_KHR_pipeline_executable_properties)
// to $PIPELINES: NNN.txt with its entry point and the statistics, NNN.asm with the machine code where the driver shows
// it. NNN.spv are the modules of SPIR-V, in an order of their own.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan.h>
#include <vulkan/vk_layer.h>

static PFN_vkGetInstanceProcAddr next_instance;
static PFN_vkGetDeviceProcAddr next_device;
static VkInstance instance;
static int count, modules;

// The link to the next layer or the driver in a chain of structures.
#define LINK(Type, chain, type) \
  Type *link = (Type *)(chain); \
  while (link && !(link->sType == type && link->function == VK_LAYER_LINK_INFO)) link = (Type *)link->pNext; \
  if (!link) return VK_ERROR_INITIALIZATION_FAILED

static VkResult create_instance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *alloc, VkInstance *out) {
  LINK(VkLayerInstanceCreateInfo, info->pNext, VK_STRUCTURE_TYPE_LOADER_INSTANCE_CREATE_INFO);
  next_instance = link->u.pLayerInfo->pfnNextGetInstanceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  VkResult result = ((PFN_vkCreateInstance)next_instance(NULL, "vkCreateInstance"))(info, alloc, out);
  if (result == VK_SUCCESS) instance = *out;
  return result;
}

static VkResult create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                              const VkAllocationCallbacks *alloc, VkDevice *out) {
  LINK(VkLayerDeviceCreateInfo, info->pNext, VK_STRUCTURE_TYPE_LOADER_DEVICE_CREATE_INFO);
  next_device = link->u.pLayerInfo->pfnNextGetDeviceProcAddr;
  link->u.pLayerInfo = link->u.pLayerInfo->pNext;
  VkDeviceCreateInfo ours = *info;
  const char **names = malloc(sizeof *names * (info->enabledExtensionCount + 1));
  if (info->enabledExtensionCount)
    memcpy(names, info->ppEnabledExtensionNames, sizeof *names * info->enabledExtensionCount);
  names[ours.enabledExtensionCount++] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
  ours.ppEnabledExtensionNames = names;
  VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR feature = {
    VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR, (void *)info->pNext, VK_TRUE};
  ours.pNext = &feature;
  VkResult result = ((PFN_vkCreateDevice)next_instance(instance, "vkCreateDevice"))(physical, &ours, alloc, out);
  free(names);
  return result;
}

static FILE *open_part(int number, const char *ending) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%03d.%s", getenv("PIPELINES"), number, ending);
  FILE *file = fopen(path, "w");
  if (!file) { perror(path); exit(1); }
  return file;
}

static void write_pipeline(VkDevice device, VkPipeline pipeline, const char *entry) {
#define NEXT(name) PFN_vk##name name = (PFN_vk##name)next_device(device, "vk" #name)
  NEXT(GetPipelineExecutablePropertiesKHR);
  NEXT(GetPipelineExecutableStatisticsKHR);
  NEXT(GetPipelineExecutableInternalRepresentationsKHR);
  int number = count++;
  FILE *text = open_part(number, "txt");
  fprintf(text, "entry: %s\n", entry);
  // The compute stage; a driver has no other executable in such a pipeline.
  uint32_t executables = 1;
  VkPipelineInfoKHR of = {VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, NULL, pipeline};
  VkPipelineExecutablePropertiesKHR properties = {.sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR};
  GetPipelineExecutablePropertiesKHR(device, &of, &executables, &properties);
  fprintf(text, "subgroup: %u\n", properties.subgroupSize);
  VkPipelineExecutableInfoKHR which = {VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, NULL, pipeline, 0};
  VkPipelineExecutableStatisticKHR statistics[64] = {0};
  uint32_t n = 64;
  for (uint32_t i = 0; i < n; i++) statistics[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
  GetPipelineExecutableStatisticsKHR(device, &which, &n, statistics);
  for (uint32_t i = 0; i < n; i++) {
    if (statistics[i].format == VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR)
      fprintf(text, "%s: %g\n", statistics[i].name, statistics[i].value.f64);
    else
      fprintf(text, "%s: %llu\n", statistics[i].name, (unsigned long long)statistics[i].value.u64);
  }
  fclose(text);
  VkPipelineExecutableInternalRepresentationKHR forms[16] = {0};
  n = 16;
  for (uint32_t i = 0; i < n; i++) forms[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR;
  GetPipelineExecutableInternalRepresentationsKHR(device, &which, &n, forms);
  for (uint32_t i = 0; i < n; i++) forms[i].pData = malloc(forms[i].dataSize + 1);
  GetPipelineExecutableInternalRepresentationsKHR(device, &which, &n, forms);
  if (n) {
    FILE *code = open_part(number, "asm");
    // The last form is the machine's; those before are what it was made of.
    fwrite(forms[n - 1].pData, 1, forms[n - 1].dataSize, code);
    fclose(code);
  }
  for (uint32_t i = 0; i < n; i++) free(forms[i].pData);
}

static VkResult create_pipelines(VkDevice device, VkPipelineCache cache, uint32_t n,
                                 const VkComputePipelineCreateInfo *infos, const VkAllocationCallbacks *alloc,
                                 VkPipeline *out) {
  (void)cache; // what comes from a cache has no statistics
  NEXT(CreateComputePipelines);
  for (uint32_t i = 0; i < n; i++) {
    VkComputePipelineCreateInfo ours = infos[i];
    ours.flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR;
    ours.flags |= VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
    VkResult result = CreateComputePipelines(device, VK_NULL_HANDLE, 1, &ours, alloc, &out[i]);
    if (result != VK_SUCCESS) return result;
    write_pipeline(device, out[i], ours.stage.pName);
  }
  return VK_SUCCESS;
}

static VkResult create_module(VkDevice device, const VkShaderModuleCreateInfo *info, const VkAllocationCallbacks *alloc,
                              VkShaderModule *out) {
  NEXT(CreateShaderModule);
  FILE *file = open_part(modules++, "spv");
  fwrite(info->pCode, 1, info->codeSize, file);
  fclose(file);
  return CreateShaderModule(device, info, alloc, out);
}

static PFN_vkVoidFunction device_function(VkDevice device, const char *name) {
  if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)device_function;
  if (!strcmp(name, "vkCreateComputePipelines")) return (PFN_vkVoidFunction)create_pipelines;
  if (!strcmp(name, "vkCreateShaderModule")) return (PFN_vkVoidFunction)create_module;
  return next_device(device, name);
}

static PFN_vkVoidFunction instance_function(VkInstance of, const char *name) {
  if (!strcmp(name, "vkGetInstanceProcAddr")) return (PFN_vkVoidFunction)instance_function;
  if (!strcmp(name, "vkGetDeviceProcAddr")) return (PFN_vkVoidFunction)device_function;
  if (!strcmp(name, "vkCreateInstance")) return (PFN_vkVoidFunction)create_instance;
  if (!strcmp(name, "vkCreateDevice")) return (PFN_vkVoidFunction)create_device;
  if (!strcmp(name, "vkCreateComputePipelines")) return (PFN_vkVoidFunction)create_pipelines;
  if (!strcmp(name, "vkCreateShaderModule")) return (PFN_vkVoidFunction)create_module;
  return next_instance ? next_instance(of, name) : NULL;
}

VKAPI_ATTR VkResult VKAPI_CALL vkNegotiateLoaderLayerInterfaceVersion(VkNegotiateLayerInterface *interface) {
  interface->loaderLayerInterfaceVersion = 2;
  interface->pfnGetInstanceProcAddr = instance_function;
  interface->pfnGetDeviceProcAddr = device_function;
  interface->pfnGetPhysicalDeviceProcAddr = NULL;
  return VK_SUCCESS;
}
