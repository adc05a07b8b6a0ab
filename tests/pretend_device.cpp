// What torch must find registered before its autograd takes tensors of a device that it has no backend for: one stream, on which
// everything is done at once.
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>

namespace {

struct Guard : c10::impl::NoOpDeviceGuardImpl<c10::DeviceType::PrivateUse1> {
    static c10::Device here() { return c10::Device(c10::DeviceType::PrivateUse1, 0); }
    static c10::Stream stream() { return c10::Stream(c10::Stream::DEFAULT, here()); }
    c10::Device exchangeDevice(c10::Device) const override { return here(); }
    c10::Device getDevice() const override { return here(); }
    c10::Stream getStream(c10::Device) const noexcept override { return stream(); }
    c10::Stream getNewStream(c10::Device, int) const override { return stream(); }
    c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream(); }
    void record(void**, const c10::Stream&, const c10::DeviceIndex, const c10::EventFlag) const override {}
    void block(void*, const c10::Stream&) const override {}
    bool queryEvent(void*) const override { return true; }
};

struct Hooks : at::PrivateUse1HooksInterface {
    bool isAvailable() const override { return true; }
    bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
};

}  // namespace

C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

extern "C" void register_hooks() { at::RegisterPrivateUse1HooksInterface(new Hooks); }
